"""Does a shop keep its promises? The invariants of its databases and its event log, checked from outside."""
