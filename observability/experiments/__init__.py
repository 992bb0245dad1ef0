"""The experiments of the lab: a genuine bottleneck each, its fix, and what the diagnosis must say of it."""
