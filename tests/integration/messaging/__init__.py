"""How events travel: logs, relay and consumers, on real servers."""
