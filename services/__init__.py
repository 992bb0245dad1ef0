"""The shop: its bounded contexts, all of the same structure, their shared infrastructure, and ways to run them."""
