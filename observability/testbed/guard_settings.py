"""Settings that turn the guards of the platform on, and off so that it turns nobody away.

Guards turn away those who would wait longest, and the latencies of who is left say nothing of a queue: trials run
without. What guards are good for shows in goodput.
"""

from services.infra.http_server import EDGE

GUARDS = ("ORDER_ADMISSION_ENABLED", "INVENTORY_ADMISSION_ENABLED", "ORDER_INVENTORY_GUARDED")
CONNECTIONS = "ORDER_HTTP_CONNECTIONS"
# Of one address the edge takes half: as many as a load generator opens, if file descriptors allow.
UNLIMITED = 8_192
GUARDED = dict.fromkeys(GUARDS, "true") | {CONNECTIONS: str(EDGE.connections)}
UNGUARDED = dict.fromkeys(GUARDS, "false") | {CONNECTIONS: str(UNLIMITED)}
