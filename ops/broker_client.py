"""Calls a broker, or its SCM site, with the standard library: these commands run where nothing is installed."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ops.output import CommandFailed

_TIMEOUT_SECONDS = 30.0


class NoAnswer(CommandFailed):
    """Nothing answers at the URL, or the connection was lost before the answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is empty unless it was a JSON object. `reason` is the text beside the status."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    text: str = ""
    reason: str = ""

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
        """Send one request; raises `NoAnswer`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return request(self.url, method, path, body, self.token, named)


def request(
    url: str,
    method: str,
    path: str,
    body: object,
    token: str | None,
    headers: Mapping[str, str],
    timeout: float = _TIMEOUT_SECONDS,
) -> Answer:
    """Send one request to a site; a body of bytes is a zip file, any other is sent as JSON. Raises `NoAnswer`."""
    target = urlsplit(url)
    scheme = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = scheme(target.netloc, timeout=timeout)
    sent = dict(headers)
    if token:
        sent["Authorization"] = f"Bearer {token}"
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if content is not None:
        sent["Content-Type"] = "application/zip" if content is body else "application/json"
    try:
        connection.request(method, path, content, sent)
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        text = response.read().decode(errors="replace")
        return Answer(response.status, received, _json_object(text), text, response.reason)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{method} {url}{path}: nothing answers ({error})") from error
    finally:
        connection.close()


def _json_object(content: str) -> Mapping[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
