"""Instances of the broker over one store, and the calls of a phone."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from local.simulator import FaceSimulator, Session
from tests.support.azurite import Azurite
from tests.support.broker import environment
from tests.support.http import plain_client
from tests.support.processes import running_processes

PEPPER: Final = "pepper-of-the-tests"


@dataclass(frozen=True, slots=True)
class Fleet:
    """The clients of running instances, and the Face behind them."""

    instances: Sequence[httpx.AsyncClient]
    simulator: FaceSimulator

    async def create(
        self, instance: int, device_id: str, *, key: str | None = None, address: str | None = None
    ) -> httpx.Response:
        """Create a session at an instance, with an idempotency key and from an address if given."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id}
        headers = {"Idempotency-Key": key, "client-ip": address}
        given = {name: value for name, value in headers.items() if value is not None}
        return await self.instances[instance].post("/api/sessions", json=body, headers=given)

    async def perform(self, session: Mapping[str, Any]) -> None:
        """Perform the check, as the phone does."""
        headers = {"Authorization": f"Bearer {session['authToken']}"}
        async with plain_client(self.simulator.url) as phone:
            (await phone.post("/simulator/perform", headers=headers, json={})).raise_for_status()

    async def result(self, instance: int, session: Mapping[str, Any]) -> httpx.Response:
        """Get the result from an instance, with the session's token."""
        return await self.instances[instance].get(_path(session), headers=_token(session))

    async def revoke(self, instance: int, session: Mapping[str, Any]) -> httpx.Response:
        """Revoke the session at an instance, with its token."""
        return await self.instances[instance].delete(_path(session), headers=_token(session))

    def sessions_of(self, *device_ids: str) -> list[Session]:
        """Return all sessions that Face ever created for these devices."""
        return [session for session in self.simulator.sessions if session.device_id in device_ids]


@asynccontextmanager
async def running_fleet(
    count: int, azurite: Azurite, simulator: FaceSimulator, **settings: str
) -> AsyncIterator[Fleet]:
    """Start instances as processes over one Azurite, and end them."""
    shared = environment(
        simulator.url, AzureWebJobsStorage=azurite.connection_string, ID_PEPPER=PEPPER, **settings
    )
    async with running_processes(count, shared) as instances:
        yield Fleet(instances, simulator)


def _path(session: Mapping[str, Any]) -> str:
    return f"/api/sessions/{session['sessionId']}"


def _token(session: Mapping[str, Any]) -> dict[str, str]:
    return {"X-Session-Token": str(session["authToken"])}
