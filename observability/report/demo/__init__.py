"""Report of a demo: its figures as data and JSON, a self-contained HTML page, and terminal output."""
