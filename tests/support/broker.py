"""The whole broker on loopback: the functions host, the app, and the Face simulator behind it."""

import asyncio
import importlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.host import Host
from local.simulator import FaceSimulator
from shared.app import App, build, install
from shared.events.publisher import MemoryPublisher
from shared.face.budget import Budget
from shared.face.model import Face
from shared.settings import Settings
from shared.storage.port import EntityStore
from shared.text import Sleep
from tests.support.http import plain_client
from tests.support.time import FakeClock

FACE_KEY = "face-key-of-the-tests"
FUNCTION_KEY = "function-key-of-the-tests"
PEPPER = "pepper-of-the-tests"

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker: `http` calls it as a phone does, `phone` is the simulated Vision SDK."""

    app: App
    host: Host
    simulator: FaceSimulator
    clock: FakeClock
    http: httpx.AsyncClient
    phone: httpx.AsyncClient

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """What was published."""
        assert isinstance(self.app.publisher, MemoryPublisher)
        return self.app.publisher.events

    async def create(
        self,
        device_id: str = "a-device",
        headers: Mapping[str, str] | None = None,
        /,
        **fields: Any,  # noqa: ANN401 - JSON.
    ) -> httpx.Response:
        """Ask for a session."""
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": device_id} | fields
        return await self.http.post("/api/sessions", json=body, headers=headers)

    async def created(self, device_id: str = "a-device", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON.
        """Ask for a session and expect to be given one."""
        response = await self.create(device_id, **fields)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def perform(self, session: Mapping[str, Any], **fields: str) -> dict[str, Any]:
        """Let the phone perform the check; returns what it is told, `digest` among it."""
        headers = {"Authorization": f"Bearer {session['authToken']}"}
        response = await self.phone.post("/simulator/perform", headers=headers, json=fields)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def result(self, session: Mapping[str, Any], **headers: str) -> httpx.Response:
        """Ask for the result with the session's token."""
        token = {"X-Session-Token": str(session["authToken"])}
        return await self.http.get(f"/api/sessions/{session['sessionId']}", headers=token | headers)

    async def revoke(self, session: Mapping[str, Any]) -> httpx.Response:
        token = {"X-Session-Token": str(session["authToken"])}
        return await self.http.delete(f"/api/sessions/{session['sessionId']}", headers=token)


def environment(face_url: str, **settings: str) -> dict[str, str]:
    """The app settings of a broker that uses a simulator at `face_url`."""
    own = {"FACE_ENDPOINT": face_url, "FACE_KEY": FACE_KEY, "FACE_MAX_TPS": "1000"}
    # Apps over one store need the same pepper, to read each other's records.
    return own | ({} if "KEY_VAULT_URL" in settings else {"ID_PEPPER": PEPPER}) | settings


@asynccontextmanager
async def running_broker(
    *,
    store: EntityStore | None = None,
    clock: FakeClock | None = None,
    simulator_sleep: Sleep = asyncio.sleep,
    face: Face | None = None,
    budget: Budget | None = None,
    **settings: str,
) -> AsyncIterator[Broker]:
    """Start simulator, app and host on free ports, and end them; `face` None: the client over the simulator."""
    clock = clock or FakeClock()
    simulator = FaceSimulator(key=FACE_KEY, clock=clock, sleep=simulator_sleep)
    await simulator.start()
    mapping = environment(simulator.url, **settings)
    app = build(Settings.from_mapping(mapping), clock=clock, store=store, face=face, budget=budget)
    install(app)
    host = Host(
        function_app(mapping),
        json.loads((_ROOT / "host.json").read_text()),
        function_key=FUNCTION_KEY,
        master_key="master-key-of-the-tests",
        body_limit=65_536,
    )
    await host.start()
    async with (
        plain_client(host.url) as http,
        plain_client(simulator.url) as phone,
    ):
        try:
            yield Broker(app, host, simulator, clock, http, phone)
        finally:
            await host.stop()
            await app.aclose()
            await simulator.stop()


def function_app(mapping: Mapping[str, str]) -> Any:  # noqa: ANN401 - azure.functions' FunctionApp.
    """Import the app as the host does, with good settings in the environment; some of them decide how it is indexed."""
    for name in ("function_app", "audit_session", "audit_session.trigger"):
        sys.modules.pop(name, None)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mapping.items():
            patch.setenv(name, value)
        return importlib.import_module("function_app").app
