"""Settings that turn the overload protection on or off: admission control, call guards, and the connection limit.

Experiments that measure queues run without protection. It rejects the requests that would wait longest, so the
remaining latencies do not show the queue. Its benefit shows in goodput.
"""

from services.infra.http_server import EDGE

SWITCHES = ("ORDER_ADMISSION_ENABLED", "INVENTORY_ADMISSION_ENABLED", "ORDER_INVENTORY_GUARDED")
CONNECTIONS = "ORDER_HTTP_CONNECTIONS"
# The edge accepts half of it from one address: as many as a load generator opens, if file descriptors allow.
UNLIMITED = 8_192
PROTECTED = dict.fromkeys(SWITCHES, "true") | {CONNECTIONS: str(EDGE.connections)}
UNPROTECTED = dict.fromkeys(SWITCHES, "false") | {CONNECTIONS: str(UNLIMITED)}
