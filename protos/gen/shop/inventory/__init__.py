"""Generated from the .proto files of shop.inventory: make protos."""
