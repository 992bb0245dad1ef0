"""Stand-in for a service: writes its ready file, answers nothing, and ends on SIGTERM.

STAND_IN_FAULT tells it to misbehave: `exit` (fails at once), `hang` (is never ready), `stubborn` (ignores SIGTERM).
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

KEYS = {
    "RECEIVER": ("http",),
    "INVENTORY": ("grpc", "admin"),
    "ORDER": ("grpc", "http", "admin"),
    "NOTIFICATION": ("admin",),
    "MONOLITH": ("order_grpc", "inventory_grpc", "http", "admin"),
}


def main() -> int:
    """Run as the service whose settings are in the environment."""
    sys.stdout.write(f"stand-in {sys.argv[1:]}\n")
    sys.stdout.flush()
    fault = os.environ.get("STAND_IN_FAULT")
    if fault == "exit":
        sys.stderr.write("cannot go on: the stand-in was told to fail\n")
        return 7
    if not any(f"{name}_READY_FILE" in os.environ for name in KEYS):
        return 0  # a migration
    # Not a threading.Event: a handler that runs while the same thread is inside wait() would wait for its lock forever.
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    if fault != "hang":
        write_ready_file()
    while not received or fault == "stubborn":
        time.sleep(0.1)
    return 0


def write_ready_file() -> None:
    """Write made-up addresses in one step."""
    present = [name for name in KEYS if f"{name}_READY_FILE" in os.environ]
    ready_file = Path(os.environ[f"{present[0]}_READY_FILE"])
    monolith = "ORDER_READY_FILE" in os.environ and "INVENTORY_DATABASE_DSN" in os.environ
    keys = KEYS["MONOLITH" if monolith else present[0]]
    fresh = ready_file.with_suffix(".new")
    fresh.write_text(json.dumps({key: f"127.0.0.1:{port}" for port, key in enumerate(keys, start=40001)}))
    fresh.replace(ready_file)


if __name__ == "__main__":
    sys.exit(main())
