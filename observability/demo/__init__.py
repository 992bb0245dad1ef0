"""`plumb demo`: the platform under load on this machine, from nothing to a report, and everything stopped again."""
