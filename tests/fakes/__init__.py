"""Hand-written fakes: the smallest implementations of the ports."""
