"""Facts that need no process but this one."""
