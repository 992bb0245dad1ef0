"""The order context: accepts orders and settles each of them."""
