"""The notification process of the lab: the shop's own, with a sender of an experiment where one is wanted."""
