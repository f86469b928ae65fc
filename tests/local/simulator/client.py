"""An HTTP client of the simulator."""

import ssl
from collections.abc import Mapping
from typing import Any, Self

import httpx

KEY = "test-key"
ROOTS = {
    "v1.1-preview.1": "/face/v1.1-preview.1/detectLiveness/singleModal/sessions",
    "v1.2": "/face/v1.2/detectLiveness-sessions",
    "v1.3-preview.1": "/face/v1.3-preview.1/detectLiveness-sessions",
}
VERSIONS = tuple(ROOTS)
OLD, NEW, NEWEST = VERSIONS

CUT_OFF = (httpx.RemoteProtocolError, httpx.NetworkError)
"""What a caller raises when a connection ends without an answer; a timeout is not among them."""

START_MS = 1_709_636_848_540
"""2024-03-05T11:07:28.540Z."""


class FaceClient:
    """Calls the simulator as a broker, as a phone, and as a test."""

    def __init__(self, url: str) -> None:
        # Everything is plain http: reading the certificates of this machine would only take time.
        no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, verify=no_certificates)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
        content: bytes | str | None = None,
        json: object = None,
    ) -> httpx.Response:
        auth = {} if key is None else {"Ocp-Apim-Subscription-Key": key}
        return await self.http.request(
            method, path, headers={**auth, **(headers or {})}, params=params, content=content, json=json
        )

    async def post(self, version: str, body: object) -> httpx.Response:
        return await self.call("POST", ROOTS[version], json=body)

    async def create(self, device_id: str = "device", version: str = OLD, **fields: object) -> dict[str, Any]:
        """Create a session; returns the body."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id, **fields}
        return _json(await self.post(version, body))

    async def get(self, session_id: str, version: str = OLD) -> httpx.Response:
        return await self.call("GET", f"{ROOTS[version]}/{session_id}")

    async def result(self, session_id: str, version: str = OLD) -> dict[str, Any]:
        return _json(await self.get(session_id, version))

    async def delete(self, session_id: str, version: str = OLD) -> httpx.Response:
        return await self.call("DELETE", f"{ROOTS[version]}/{session_id}")

    async def checked(
        self, device_id: str = "device", version: str = OLD, **fields: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Create a session and perform its check; returns both bodies."""
        created = await self.create(device_id, version, **fields)
        return created, await self.perform(created["authToken"])

    async def phone(
        self, auth_token: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call perform with an auth token."""
        sent = {"Authorization": f"Bearer {auth_token}", **(headers or {})}
        return await self.http.post("/simulator/perform", headers=sent, json=body)

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
