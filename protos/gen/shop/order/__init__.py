"""Generated from the .proto files of shop.order: make protos."""
