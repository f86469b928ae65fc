"""What goes to Face and what comes back, as plain values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.errors import UpstreamFailure

_IDENTIFIER = re.compile(r"[0-9A-Za-z._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request: `path` is sent as it is; `json` can hold a device id, and is in no repr."""

    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """One answer: the names in `headers` are in lower case; `body` may hold a token, and is in no repr.

    `body` is empty and `unread` true where it was not worth reading: too large, or compressed although ruled out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    unread: bool = False

    @property
    def request_id(self) -> str | None:
        """Face's own id of this call, which a support case asks for."""
        return identifier(self.headers.get("apim-request-id"))


def broken(response: UpstreamResponse, what: str) -> UpstreamFailure:
    """Describe an answer that breaks the contract."""
    return UpstreamFailure(f"not Face's contract: {what}", upstream_request_id=response.request_id)


def identifier(text: str | None) -> str | None:
    """Answer `text` where it can only be an identifier, so that it may stand in logs and events."""
    return text if text and _IDENTIFIER.fullmatch(text) else None


def printable(text: str, length: int = 256) -> str:
    """Answer at most `length` characters of `text` on one line, without control and direction characters."""
    return "".join(character if character.isprintable() else " " for character in text[:length])
