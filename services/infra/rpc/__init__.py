"""The two ends of a gRPC call, and how errors cross it."""
