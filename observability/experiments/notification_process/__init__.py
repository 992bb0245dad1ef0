"""Notification process of the experiments: the shop's service, with the mail sender that an experiment chooses."""
