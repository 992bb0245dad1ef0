"""The inventory context: items, prices, stock and the reservations on it."""
