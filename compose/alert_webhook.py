# ruff: noqa: INP001  # a program of one file, mounted into a container
"""Whom does Alertmanager tell? Until you name somebody else, whoever reads this container's output: a line an alert."""

import hmac
import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8080
MOST_BYTES = 1024 * 1024
TOKEN = Path("/run/secrets/alert_webhook_token")


class Listener(BaseHTTPRequestHandler):
    """Answers 200 to `POST /page`, `/ticket` and `/watchdog` with the token, once it has written the alerts."""

    timeout = 10

    def do_POST(self) -> None:
        """Take one notification."""
        given = self.headers.get("Authorization", "")
        length = int(self.headers.get("Content-Length", "0"))
        if not hmac.compare_digest(given.encode(), f"Bearer {TOKEN.read_text().strip()}".encode()):
            self._answer(HTTPStatus.UNAUTHORIZED)
        elif not 0 < length <= MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            for alert in json.loads(self.rfile.read(length))["alerts"]:
                kept = {key: alert[key] for key in ("status", "startsAt", "labels", "annotations")}
                sys.stdout.write(json.dumps({"receiver": self.path.strip("/"), **kept}) + "\n")
            sys.stdout.flush()
            self._answer(HTTPStatus.OK)

    def do_GET(self) -> None:
        """Say that it is there."""
        self._answer(HTTPStatus.OK)

    def log_message(self, *_: object) -> None:
        """Write no line a request: the alerts are what is read."""

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), Listener).serve_forever()  # noqa: S104  # inside of its network
