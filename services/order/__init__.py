"""The order context: takes orders and brings each to an end."""
