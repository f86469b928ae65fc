"""Calls of a broker, deployed or local, with what is shown to it."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 30.0


class Failed(Exception):
    """Nothing answered, or not what was expected; the text says which, and what to look at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `body` is empty where it is no JSON object."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def __str__(self) -> str:
        error = self.body.get("error", {})
        request = self.headers.get("x-ms-request-id", "none: the answer is not the app's, but the platform's")
        return f"{self.status} {error.get('code', '')} {error.get('message', '')} (request id {request})"


@dataclass(frozen=True, slots=True)
class Service:
    """Where the broker is, and what is shown to it."""

    url: str
    token: str | None = None

    def ask(
        self, method: str, path: str, *, body: object = None, bearer: bool = True, **headers: str
    ) -> Answer:
        """Send one request; raises `Failed` where nothing answers."""
        target = urlsplit(self.url)
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.netloc, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, _encoded(body), self._headers(body, headers, bearer=bearer))
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, _object(response.read()))
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{method} {self.url}{path}: nothing answers ({error})") from error
        finally:
            connection.close()

    def _headers(self, body: object, headers: Mapping[str, str], *, bearer: bool) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given["Content-Type"] = "application/json"
        if bearer and self.token:
            given["Authorization"] = f"Bearer {self.token}"
        return given


def _encoded(body: object) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
