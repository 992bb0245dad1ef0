"""Generated from the .proto files of shop: make protos."""
