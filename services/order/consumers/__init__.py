"""What the order context hears of its own events."""
