"""Facts about the real thing: processes, databases, sockets."""
