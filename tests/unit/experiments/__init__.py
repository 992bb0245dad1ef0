"""Facts about trials: no process, no platform, no waiting."""
