"""An HTTP client of the simulator."""

from collections.abc import Mapping
from typing import Any

import httpx

from local.simulator.versions import VERSIONS as WIRE_VERSIONS
from tests.support.http import NO_CERTIFICATES

KEY = "test-key"
RIGHT_KEY = {"Ocp-Apim-Subscription-Key": KEY}
ROOTS = {version.root.split("/")[2]: version.root for version in WIRE_VERSIONS}
VERSIONS = tuple(ROOTS)
OLD, NEW, NEWEST = VERSIONS

CUT_OFF = (httpx.RemoteProtocolError, httpx.NetworkError)
"""What a caller raises when a connection ends without an answer; a timeout is not among them."""

START_MS = 1_709_636_848_540
"""2024-03-05T11:07:28.540Z."""


class FaceClient(httpx.AsyncClient):
    """Calls the simulator as a broker, as a phone, and as a test."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, trust_env=False, verify=NO_CERTIFICATES)

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = RIGHT_KEY,
        more: Mapping[str, str] | None = None,
        **body: Any,  # noqa: ANN401 - httpx's own parameters.
    ) -> httpx.Response:
        """Call with the right key, and `more` headers; other `headers` replace the key."""
        return await self.request(method, path, headers={**headers, **(more or {})}, **body)

    async def order(self, version: str, body: object) -> httpx.Response:
        """Send a create request."""
        return await self.call("POST", ROOTS[version], json=body)

    async def create(self, device_id: str = "device", version: str = OLD, **fields: object) -> dict[str, Any]:
        """Create a session; returns the body."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id, **fields}
        return _json(await self.order(version, body))

    async def read(self, session_id: str, version: str = OLD) -> httpx.Response:
        return await self.call("GET", f"{ROOTS[version]}/{session_id}")

    async def result(self, session_id: str, version: str = OLD) -> dict[str, Any]:
        return _json(await self.read(session_id, version))

    async def remove(self, session_id: str, version: str = OLD) -> httpx.Response:
        return await self.call("DELETE", f"{ROOTS[version]}/{session_id}")

    async def checked(
        self, device_id: str = "device", version: str = OLD, **fields: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Create a session and perform its check; returns both bodies."""
        created = await self.create(device_id, version, **fields)
        return created, await self.perform(created["authToken"])

    async def phone(
        self, auth_token: str, body: object = None, more: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call perform with an auth token."""
        bearer = {"Authorization": f"Bearer {auth_token}"}
        return await self.call("POST", "/simulator/perform", headers=bearer, more=more, json=body)

    async def perform(self, auth_token: str, body: object = None) -> dict[str, Any]:
        return _json(await self.phone(auth_token, body))


def _json(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def refusal_of(response: httpx.Response) -> tuple[int, str | None, object]:
    """Status, `x-ms-error-code` and body of an error."""
    return response.status_code, response.headers.get("x-ms-error-code"), response.json()


def code_of(response: httpx.Response) -> tuple[int, str]:
    """Status and error code; body and header must hold the same code."""
    code = response.json()["error"]["code"]
    assert response.headers["x-ms-error-code"] == code
    return response.status_code, code
