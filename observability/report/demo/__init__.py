"""What a demo showed: its figures as a value and JSON, a page that opens without a network, and terminal output."""
