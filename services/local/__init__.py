"""The whole platform on this machine with nothing installed: embedded PostgreSQL, services, trace receiver."""
