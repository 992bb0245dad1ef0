"""gRPC of inventory: server, client, and the translation between proto and api."""
