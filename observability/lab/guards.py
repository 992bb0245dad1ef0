"""What are the guards of the platform called in its settings, and how is it told to turn nobody away?

Guards turn away those who would wait longest, and the latencies of who is left say nothing of a queue: trials run
without. What guards are good for shows in goodput.
"""

GUARDS = ("ORDER_ADMISSION_ENABLED", "INVENTORY_ADMISSION_ENABLED", "ORDER_INVENTORY_GUARDED")
GUARDED, UNGUARDED = dict.fromkeys(GUARDS, "true"), dict.fromkeys(GUARDS, "false")
