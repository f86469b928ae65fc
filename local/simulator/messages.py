"""What goes into the simulator and what comes out, as plain values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request.

    `path` is as it was sent, still percent-encoded; the names in `headers` are in lower case; `request_id`
    becomes the `apim-request-id` of the answer; `remote` is the address of the peer.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    request_id: str = ""
    remote: str = "127.0.0.1"

    @property
    def bearer_token(self) -> str | None:
        """The token of an `Authorization: Bearer` header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response, given after `delay_s` seconds.

    `lost` means that the connection is reset and nothing is answered.
    """

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    lost: bool = False


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with `value` as JSON."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, json.dumps(value).encode(), content_type | dict(headers or {}))


def error_answer(status: int, code: str, message: str) -> Answer:
    """Answer with Azure's error body, and its code in `x-ms-error-code` as well."""
    return json_answer(status, {"error": {"code": code, "message": message}}, {"x-ms-error-code": code})
