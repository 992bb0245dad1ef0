"""How does a process of the shop come to an adapter of the lab? By the name of the function that makes it."""

import os
import pkgutil
from collections.abc import Callable
from typing import Any

from observability.telemetry.telemetry import Telemetry

# Read by the processes of the lab alone; the shop knows nothing of them.
VARIABLE = "LAB_ADAPTER"
CLIENT_VARIABLE = "LAB_CLIENT"

MakeAdapter = Callable[[Telemetry], Callable[..., Any]]


def chosen_adapter(telemetry: Telemetry, usual: Callable[..., Any], *, variable: str = VARIABLE) -> Callable[..., Any]:
    """Make the adapter that a variable names as module:function; the usual one without it.

    Raises ImportError or AttributeError for a name that leads nowhere.
    """
    name = os.environ.get(variable)
    if name is None:
        return usual
    make: MakeAdapter = pkgutil.resolve_name(name)
    return make(telemetry)
