"""The alert drill: for each alert a fault that makes it fire for real, and how long that takes."""
