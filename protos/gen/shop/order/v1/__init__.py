"""Generated from the .proto files of shop.order.v1: make protos."""
