"""Experiments: each has a real bottleneck or none, a fix, and the verdict that the diagnosis must give."""
