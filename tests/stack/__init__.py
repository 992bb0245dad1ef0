"""Tests of the observability stack of docker-compose.yml, with the real programs."""
