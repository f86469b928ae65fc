"""Instances of the broker over one store, and what a phone asks of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from local.simulator import FaceSimulator, Session
from tests.support.azurite import Azurite
from tests.support.broker import environment
from tests.support.processes import running_processes

PEPPER: Final = "pepper-of-the-tests"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Running instances, by their clients, and the Face behind them."""

    instances: Sequence[httpx.AsyncClient]
    simulator: FaceSimulator

    async def create(
        self, instance: int, device_id: str, *, key: str | None = None, address: str | None = None
    ) -> httpx.Response:
        """Ask an instance for a session, under an idempotency key and from an address where they are given."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id}
        headers = {"Idempotency-Key": key, "client-ip": address}
        given = {name: value for name, value in headers.items() if value is not None}
        return await self.instances[instance].post("/api/sessions", json=body, headers=given)

    async def perform(self, session: Mapping[str, Any], **fields: str) -> None:
        """Let the phone perform the check."""
        url, headers = (
            f"{self.simulator.url}/simulator/perform",
            {"Authorization": f"Bearer {session['authToken']}"},
        )
        async with httpx.AsyncClient(trust_env=False) as phone:
            (await phone.post(url, headers=headers, json=fields)).raise_for_status()

    async def result(self, instance: int, session: Mapping[str, Any]) -> httpx.Response:
        """Ask an instance for the result, as who was given the session."""
        return await self.instances[instance].get(_path(session), headers=_token(session))

    async def revoke(self, instance: int, session: Mapping[str, Any]) -> httpx.Response:
        """Have an instance end the session, as who was given it."""
        return await self.instances[instance].delete(_path(session), headers=_token(session))

    def sessions_of(self, device_id: str) -> list[Session]:
        """Answer the sessions that Face was ever asked for by this device."""
        return [session for session in self.simulator.sessions if session.device_id == device_id]


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


@asynccontextmanager
async def running_fleet_of_strangers(
    count: int, simulator: FaceSimulator, **settings: str
) -> AsyncIterator[Fleet]:
    """Start processes that keep their state each to itself: what a fleet must not be."""
    async with running_processes(count, environment(simulator.url, **settings)) as instances:
        yield Fleet(instances, simulator)


def _path(session: Mapping[str, Any]) -> str:
    return f"/api/sessions/{session['sessionId']}"


def _token(session: Mapping[str, Any]) -> dict[str, str]:
    return {"X-Session-Token": str(session["authToken"])}
