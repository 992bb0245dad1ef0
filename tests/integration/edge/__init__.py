"""The REST edge over real sockets, before services that answer at once."""
