"""The notification context: what customers are told about their orders."""
