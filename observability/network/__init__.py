"""TCP fault proxy: adds latency and loss to connections, or breaks them."""
