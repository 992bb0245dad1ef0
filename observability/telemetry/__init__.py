"""The runtime telemetry library: the only part of `observability` that services import.

Nothing else here is done at import, but OpenTelemetry reads OTEL_PROPAGATORS when it is imported, and fails for a name
that is not installed: the variables are settled before the modules of this package import it.
"""

import os

from observability.telemetry.environment import settle

WARNINGS_AT_IMPORT = settle(os.environ)
