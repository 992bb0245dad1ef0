"""gRPC clients and servers, with the mapping of errors between them."""
