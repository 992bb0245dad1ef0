"""Generated from the .proto files of shop.inventory.v1: make protos."""
