"""The telemetry library of the services: traces, metrics and logs.

The OTEL_* variables are corrected at import, since OpenTelemetry reads OTEL_PROPAGATORS when it is imported, and fails
for a propagator that is not installed. Nothing else happens at import.
"""

import os

from observability.telemetry.environment import settle

WARNINGS_AT_IMPORT = settle(os.environ)
