"""Where the simulator's ids, tokens and digests come from."""

import base64
import secrets
import uuid
from typing import Protocol


class Identifiers(Protocol):
    """Makes each id, token and digest that the simulator hands out."""

    def session_id(self) -> str:
        """Make the id of a session: a UUID."""

    def auth_token(self) -> str:
        """Make the token that a phone gets."""

    def request_id(self) -> str:
        """Make an `apim-request-id`: a UUID."""

    def digest(self) -> str:
        """Make the digest of an attempt: 64 hexadecimal digits, in upper case as in published examples."""


class RandomIdentifiers:
    """Makes them at random."""

    def session_id(self) -> str:
        """Make a random UUID."""
        return str(uuid.uuid4())

    def auth_token(self) -> str:
        """Make something that looks like a JSON web token and holds nothing."""
        header = _base64(b'{"alg":"ES256","kid":"simulator","typ":"JWT"}')
        return f"{header}.{_base64(secrets.token_bytes(96))}.{_base64(secrets.token_bytes(64))}"

    def request_id(self) -> str:
        """Make a random UUID."""
        return str(uuid.uuid4())

    def digest(self) -> str:
        """Make 64 random hexadecimal digits."""
        return secrets.token_hex(32).upper()


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
