"""A Key Vault and a managed identity endpoint as they answer on the wire, served over loopback."""

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

VAULT_RESOURCE = "https://vault.azure.net"
FACE_RESOURCE = "https://cognitiveservices.azure.com"
FACE_SCOPE = f"{FACE_RESOURCE}/.default"
TENANT = "11111111-2222-3333-4444-555555555555"
CANARY = "CANARY"
"""Part of every value that must never show up anywhere."""


def key_vault_error(status: int, code: str, inner: str = "") -> web.Response:
    """Answer an error in Key Vault's shape; its message has line breaks, as that of a 403 has."""
    message = f"Something about {code}.\r\nVault: kv;location=westeurope\r\n"
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status)


def set_event() -> asyncio.Event:
    """An event that is set."""
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class FakeIdentity:
    """The endpoint that App Service gives an app.

    https://learn.microsoft.com/azure/app-service/overview-managed-identity
    Each call answers a new token; the platform itself keeps one for hours.
    """

    header: str = f"{CANARY}-identity-header"
    client_ids: frozenset[str] = frozenset()
    answer: tuple[int, str] | None = None
    retry_after: str = ""
    calls: list[Mapping[str, str]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=set_event)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/msi/token", self._token)
        return app

    def has_issued(self, request: web.Request, resource: str) -> bool:
        """Whether a request brings a token for a resource that is of this endpoint."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and self.tokens.get(token) == resource

    async def _token(self, request: web.Request) -> web.Response:
        self.calls.append(dict(request.query))
        await self.open.wait()
        if self.answer is not None:
            status, body = self.answer
            headers = {"Retry-After": self.retry_after} if self.retry_after else None
            return web.Response(status=status, text=body, content_type="application/json", headers=headers)
        return self._refusal(request) or self._issue(request.query["resource"])

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            return web.json_response({"statusCode": 401, "message": "Unauthorized"}, status=401)
        if request.query["api-version"] != "2019-08-01":
            return web.json_response({"statusCode": 400, "message": "Unknown api-version"}, status=400)
        if request.query.get("client_id", "") not in self.client_ids | {""}:
            message = "No User Assigned or Delegated Managed Identity found for specified ClientId"
            return web.json_response({"statusCode": 400, "message": message}, status=400)
        return None

    def _issue(self, resource: str) -> web.Response:
        claims = {"appid": "an-app", "tid": TENANT, "number": len(self.calls)}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"{CANARY}header.{body}.{CANARY}signature"
        self.tokens[token] = resource
        answer = {"access_token": token, "resource": resource, "token_type": "Bearer"}
        return web.json_response(answer | {"expires_on": str(int(time.time()) + 86_400)})


@dataclass
class FakeVault:
    """The secrets part of one vault: a challenge first, then whatever `trouble` or `secrets` say.

    `reads` counts the calls that came with a good token; `challenges` those without.
    """

    identity: FakeIdentity
    host: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    resource: str = VAULT_RESOURCE
    trouble: web.Response | None = None
    raw: bytes | None = None
    reads: int = 0
    challenges: int = 0
    hung_up: int = 0
    hang_up: bool = False

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/secrets/{name}/{version:.*}", self._get)
        return app

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if self.hang_up:
            self.hung_up += 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if not self.identity.has_issued(request, VAULT_RESOURCE):
            self.challenges += 1
            return self._challenge()
        self.reads += 1
        return self._answer(request.match_info["name"])

    def _challenge(self) -> web.Response:
        response = key_vault_error(401, "Unauthorized")
        response.headers["WWW-Authenticate"] = (
            f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{self.resource}"'
        )
        return response

    def _answer(self, name: str) -> web.Response:
        if self.trouble is not None:
            # A response object is good for one answer.
            return web.Response(
                status=self.trouble.status, body=self.trouble.body, headers=dict(self.trouble.headers)
            )
        if self.raw is not None:
            return web.Response(body=self.raw, content_type="application/json")
        if name not in self.secrets:
            return key_vault_error(404, "SecretNotFound")
        identifier = f"https://kv.vault.azure.net/secrets/{name}/0123456789abcdef0123456789abcdef"
        return web.json_response(
            {"value": self.secrets[name], "id": identifier, "attributes": {"enabled": True}}
        )
