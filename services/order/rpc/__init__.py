"""gRPC of orders: server, client, and the translation between proto and api."""
