"""Live sources, over HTTP: stand-ins answer as the documentation of the APIs says."""
