# ruff: noqa: INP001  # a program of one file, mounted into a container
"""Webhook for Alertmanager that prints each alert as a line of JSON: a stand-in until you configure a real receiver."""

import hmac
import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8080
MOST_BYTES = 1024 * 1024
TOKEN = Path("/run/secrets/alert_webhook_token")


class AlertWebhook(BaseHTTPRequestHandler):
    """Answers 200 to `POST /page`, `/ticket` and `/watchdog` with the token, after it has printed the alerts."""

    timeout = 10

    def do_POST(self) -> None:
        """Print the alerts of one notification."""
        given = self.headers.get("Authorization", "")
        length = int(self.headers.get("Content-Length", "0"))
        if not hmac.compare_digest(given.encode(), f"Bearer {TOKEN.read_text().strip()}".encode()):
            self._answer(HTTPStatus.UNAUTHORIZED)
        elif not 0 < length <= MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            for alert in json.loads(self.rfile.read(length))["alerts"]:
                fields = {key: alert[key] for key in ("status", "startsAt", "labels", "annotations")}
                sys.stdout.write(json.dumps({"receiver": self.path.strip("/"), **fields}) + "\n")
            sys.stdout.flush()
            self._answer(HTTPStatus.OK)

    def do_GET(self) -> None:
        """Answer 200, for health checks."""
        self._answer(HTTPStatus.OK)

    def log_message(self, *_: object) -> None:
        """Log no requests: the output is for alerts alone."""

    def _answer(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), AlertWebhook).serve_forever()  # noqa: S104  # only inside its network
