"""One suite, two ways to call: each context's api in process and over gRPC must answer alike."""
