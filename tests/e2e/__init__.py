"""End-to-end tests: the whole platform with real processes, real sockets and foreign clients."""
