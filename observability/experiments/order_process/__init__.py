"""The order process of the lab: the shop's own, with an adapter of an experiment where one is wanted."""
