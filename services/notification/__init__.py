"""The notification context: confirmations of orders by e-mail."""
