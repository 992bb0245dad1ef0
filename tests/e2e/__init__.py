"""The whole platform as its users meet it: real processes, real sockets, clients that nobody here wrote."""
