"""Settings that turn the platform's guards (admission control, connection limit) on or off.

Experiments that measure queues run without guards: guards reject the requests that would wait longest, so the remaining
latencies do not show the queue. The benefit of guards shows in goodput.
"""

from services.infra.http_server import EDGE

GUARDS = ("ORDER_ADMISSION_ENABLED", "INVENTORY_ADMISSION_ENABLED", "ORDER_INVENTORY_GUARDED")
CONNECTIONS = "ORDER_HTTP_CONNECTIONS"
# The edge accepts half of it from one address: as many as a load generator opens, if file descriptors allow.
UNLIMITED = 8_192
GUARDED = dict.fromkeys(GUARDS, "true") | {CONNECTIONS: str(EDGE.connections)}
UNGUARDED = dict.fromkeys(GUARDS, "false") | {CONNECTIONS: str(UNLIMITED)}
