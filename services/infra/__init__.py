"""Infrastructure shared by all contexts, without business rules: PostgreSQL, gRPC, messaging, settings."""
