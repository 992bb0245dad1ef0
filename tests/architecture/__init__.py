"""Checks of the architecture's rules, and that the linters find violations of them."""
