"""A broker whose callers sign in, with their issuer, for tests over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.broker import Broker, running_broker
from tests.support.issuer import AUDIENCE, FakeIssuer, running_issuer
from tests.support.time import FakeClock

ROLE = ["Liveness.Operate"]


@dataclass(frozen=True)
class Scene:
    """A broker whose callers sign in, and their issuer."""

    broker: Broker
    issuer: FakeIssuer

    async def send(
        self, method: str, path: str, token: str | None, *, body: object = None, **headers: str
    ) -> httpx.Response:
        """Send a request with a bearer token."""
        fields = headers | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return await self.broker.http.request(method, f"/api/{path}", json=body, headers=fields)

    async def create(
        self,
        token: str | None,
        device: str = "a-device",
        fields: Any = None,  # noqa: ANN401 - JSON.
        **headers: str,
    ) -> httpx.Response:
        """Ask for a session."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device} | dict(fields or {})
        return await self.send("POST", "sessions", token, body=body, **headers)

    async def created(self, token: str, fields: Any = None, **headers: str) -> dict[str, Any]:  # noqa: ANN401
        """Ask for a session, and expect to get it."""
        answer = await self.create(token, fields=fields, **headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def of(
        self, session: dict[str, Any], method: str, token: str | None, **headers: str
    ) -> httpx.Response:
        """Read or revoke a session with its own token."""
        headers |= {"X-Session-Token": session["authToken"]}
        return await self.send(method, f"sessions/{session['sessionId']}", token, **headers)


@asynccontextmanager
async def signed_in(**settings: Any) -> AsyncIterator[Scene]:  # noqa: ANN401 - as of `running_broker`.
    """Start both on one clock."""
    clock = FakeClock()
    async with running_issuer(clock) as issuer:
        auth = {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
        async with running_broker(clock=clock, **auth | settings) as broker:
            yield Scene(broker, issuer)
