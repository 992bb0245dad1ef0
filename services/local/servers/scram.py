"""SCRAM-SHA-256 verifier of a password, so that the password itself is never sent to the server.

`CREATE ROLE ... PASSWORD 'secret'` would leave the secret in the server's log and in pg_stat_statements. The SCRAM
verifier of RFC 5803, which the server stores anyway, does not reveal it.
"""

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """Return the SCRAM-SHA-256 verifier of an ASCII password, in PostgreSQL's format."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
