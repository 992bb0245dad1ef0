"""Selection of an experiment's adapter in a process of the shop, by the name of a factory in the environment."""

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
    """Return the adapter whose factory a variable names as module:function, or the usual one without the variable.

    Raises ImportError or AttributeError for an unknown name.
    """
    name = os.environ.get(variable)
    if name is None:
        return usual
    make: MakeAdapter = pkgutil.resolve_name(name)
    return make(telemetry)
