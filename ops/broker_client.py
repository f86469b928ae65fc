"""Calls a broker over HTTP with the standard library: preflight and smoke run where nothing is installed."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.output import CommandFailed

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is empty unless it was a JSON object."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def __str__(self) -> str:
        error = self.body.get("error", {})
        request = self.headers.get("x-ms-request-id", "none: the platform answered, not the app")
        return f"{self.status} {error.get('code', '')} {error.get('message', '')} (request id {request})"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker at a URL, called with a bearer token where there is one."""

    url: str
    token: str | None = None

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request; raises `CommandFailed` where nothing answers."""
        target = urlsplit(self.url)
        scheme = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = scheme(target.netloc, timeout=_TIMEOUT_SECONDS)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, _json_object(response.read()))
        except (OSError, http.client.HTTPException) as error:
            raise CommandFailed(f"{method} {self.url}{path}: nothing answers ({error})") from error
        finally:
            connection.close()


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
