"""The events of other contexts that notification hears."""
