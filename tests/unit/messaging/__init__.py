"""Parts of the event bus that need no server."""
