"""Calls to make in the child of a fork."""

import os
import weakref
from collections.abc import Callable


def call_in_children(method: Callable[[], None]) -> None:
    """Call a bound method in each child that is forked, as long as its object exists."""
    weak = weakref.WeakMethod(method)

    def call() -> None:
        if alive := weak():
            alive()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
