"""The platform on this machine: its plan, its start, its addresses."""
