"""Limits of every HTTP listener: connections, heads, bodies, and the time that each may take."""
