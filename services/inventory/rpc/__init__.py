"""Inventory over gRPC: server, client, and the translation between proto and api."""
