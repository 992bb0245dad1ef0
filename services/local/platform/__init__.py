"""The platform on this machine: options, start, and endpoints."""
