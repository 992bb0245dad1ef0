"""The receiver, as a real process and by its parts."""
