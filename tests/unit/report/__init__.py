"""Facts about the report: its figures, its plots, its page."""
