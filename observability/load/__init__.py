"""Load generator: demand and its arrival plan, the loops that send it, and what a run measured."""
