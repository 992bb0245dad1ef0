"""The shop: contexts of one shape, the mechanisms they share, and the ways to run them."""
