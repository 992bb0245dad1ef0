"""How does a process of the shop come to an adapter of the lab? By the name of the function that makes it."""

import os
import pkgutil
from collections.abc import Callable
from typing import Any

from observability.telemetry.telemetry import Telemetry

# Read by the processes of the lab alone; the shop knows nothing of it.
VARIABLE = "LAB_ADAPTER"

MakeAdapter = Callable[[Telemetry], Callable[..., Any]]


def chosen_adapter(telemetry: Telemetry, usual: Callable[..., Any]) -> Callable[..., Any]:
    """Make the adapter that LAB_ADAPTER names as module:function; the usual one without it.

    Raises ImportError or AttributeError for a name that leads nowhere.
    """
    name = os.environ.get(VARIABLE)
    if name is None:
        return usual
    make: MakeAdapter = pkgutil.resolve_name(name)
    return make(telemetry)
