"""What a finished trial leaves to read: one page that opens without a network, made from its folder alone."""
