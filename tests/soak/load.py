"""Phones at a steady pace: memory, errors, and an event for each session."""

import asyncio
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import linear_regression
from typing import Any, Final

import httpx

from tests.soak.world import World, running_world

SHARE: Final = 0.8
"""Of each limit."""

_FACE_TPS: Final = 6.0
_FACE_CALLS: Final = 4
"""Face's calls of a session: its creation, two reads, its deletion."""
RATE: Final = SHARE * _FACE_TPS / _FACE_CALLS
"""Sessions a second."""

_TEN_MINUTES: Final = 600
_SESSIONS_OF_DEVICE: Final = 4
"""Of the five that a device gets in ten minutes."""
_LIFE_OF_DEVICE: Final = 16
"""Sessions, of the twenty that a device gets in a day."""
_DEVICES_OF_ADDRESS: Final = 12
"""They make 48 of the 60 sessions that an address gets in ten minutes."""
_DEVICES: Final = round(RATE * _TEN_MINUTES / _SESSIONS_OF_DEVICE)

_TOKEN_SECONDS: Final = 60
_PATIENCE_SECONDS: Final = 60
_SETTLE_SECONDS: Final = 420
_SAMPLE_SECONDS: Final = 5
MOST_GROWTH: Final = 1.0
"""MB in ten minutes, once the caches are full: after the first ten."""


@dataclass(slots=True)
class Tally:
    """What phones met. `errors` counts each answer that no phone should get."""

    sessions: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


@dataclass(slots=True)
class Phone:
    """One session of a device, which is the device's so manieth."""

    world: World
    tally: Tally
    device: int
    number: int
    chance: random.Random

    async def play(self) -> None:
        """Create a session, and come back for its result, stay away, or revoke it."""
        try:
            await self._play()
        except (httpx.HTTPError, TimeoutError) as error:
            self.tally.errors[type(error).__name__] += 1

    async def _play(self) -> None:
        session = await self._create()
        if session is None:
            return
        self.tally.sessions += 1
        story = self.chance.random()
        path, token = f"/api/sessions/{session['sessionId']}", {"X-Session-Token": session["authToken"]}
        if story < 0.05:
            await self._call("DELETE", path, 204, token)
        elif story < 0.10:
            # The phone never starts the check.
            return
        elif story < 0.20:
            await self._perform(session)
        else:
            await self._call("GET", path, 200, token)
            await self._perform(session)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while answer := await self._call("GET", path, 200, token):
                    if answer["status"] == "ResultAvailable":
                        break
                    await asyncio.sleep(answer.get("retryAfterSeconds") or 1)

    async def _create(self) -> dict[str, Any] | None:
        generation = self.number // _LIFE_OF_DEVICE
        body = {
            "livenessOperationMode": "Passive",
            "deviceCorrelationId": f"phone-{self.device}-{generation}",
            "authTokenTimeToLiveInSeconds": _TOKEN_SECONDS,
        }
        headers = {}
        if self.chance.random() < 0.5:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        created = await self._call("POST", "/api/sessions", 200, headers, body)
        if created and headers:
            repeated = await self._call("POST", "/api/sessions", 200, headers, body)
            if repeated and repeated["sessionId"] != created["sessionId"]:
                self.tally.errors["another session under the same key"] += 1
        return created

    async def _perform(self, session: dict[str, Any]) -> None:
        # Every third check of a device fails: four in half an hour, of the five after which it gets no session.
        outcome = "spoofface" if self.number % 3 == 2 else "realface"
        headers = {"Authorization": f"Bearer {session['authToken']}"}
        answer = await self.world.phone.post("/simulator/perform", headers=headers, json={"outcome": outcome})
        if answer.status_code != 200:
            self.tally.errors[f"the check itself: {answer.status_code}"] += 1

    async def _call(
        self, method: str, path: str, expected: int, headers: dict[str, str], body: object = None
    ) -> dict[str, Any] | None:
        address = f"203.0.113.{self.device // _DEVICES_OF_ADDRESS}:50000"
        started = time.monotonic()
        answer = await self.world.http.request(
            method, path, headers={"client-ip": address} | headers, json=body
        )
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - started)
        if answer.status_code != expected:
            code = answer.json().get("error", {}).get("code") if answer.content else ""
            self.tally.errors[f"{method} {answer.status_code} {code}"] += 1
            return None
        return dict(answer.json()) if answer.content else {}


async def soak(minutes: float, window_minutes: float) -> bool:
    """Let phones come for so long, and print a line for each window; returns whether all targets are met."""
    async with running_world(
        FACE_API_VERSION="v1.2", FACE_MAX_TPS=str(_FACE_TPS), CLIENT_ADDRESS="appservice"
    ) as world:
        tally = Tally()
        growth = await _load(world, tally, minutes * 60, window_minutes * 60)
        count, left = await world.settle(_SETTLE_SECONDS)
        events = world.events()
        print(
            f"{count} sessions, {len(events)} with an event, {len(left)} without the one that they must have; "
            f"{sum(tally.errors.values())} errors {dict(tally.errors)}; {world.faults} failures in the log"
        )
        if left or tally.errors or world.faults:
            print(world.log_tail())
        if growth is None:
            print("memory: too short to judge, because the caches are full after ten minutes")
        return not (left or tally.errors or world.faults) and (growth is None or growth < MOST_GROWTH)


async def _load(world: World, tally: Tally, seconds: float, window: float) -> float | None:
    """Returns the growth of memory in MB in ten minutes, over the time after the first ten."""
    print(
        f"{RATE:.1f} sessions a second of {_DEVICES} devices for {seconds / 60:g} minutes: "
        f"{SHARE:.0%} of the limits of devices, addresses and Face"
    )
    print(
        "minute  sessions  events  Face calls/s  errors  slowest s  memory MB  growth MB/10 min", flush=True
    )
    chance = random.Random(1)  # noqa: S311 - stories of phones, not secrets.
    started = time.monotonic()
    samples: list[tuple[float, float]] = []
    sampling = asyncio.create_task(_sample(world, samples, started))
    windows = 1
    async with asyncio.TaskGroup() as phones:
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
            device = number % _DEVICES
            phone = Phone(world, tally, device, number // _DEVICES, random.Random(chance.random()))  # noqa: S311
            phones.create_task(phone.play())
            if time.monotonic() - started > windows * window:
                _print_window(world, tally, samples, windows * window, window)
                windows += 1
    sampling.cancel()
    _print_window(world, tally, samples, time.monotonic() - started, window)
    settled = [(at, memory) for at, memory in samples if at >= _TEN_MINUTES]
    # At least ten minutes after the first ten.
    return _slope(settled) if settled and settled[-1][0] - settled[0][0] >= _TEN_MINUTES * 0.9 else None


async def _sample(world: World, samples: list[tuple[float, float]], started: float) -> None:
    while True:
        samples.append((time.monotonic() - started, world.memory))
        await asyncio.sleep(_SAMPLE_SECONDS)


def _print_window(
    world: World, tally: Tally, samples: list[tuple[float, float]], at: float, window: float
) -> None:
    within = [sample for sample in samples if sample[0] > at - window]
    print(
        f"{at / 60:6.1f}{tally.sessions:10}{world.events().total():8}{world.face_calls / at:14.1f}"
        f"{sum(tally.errors.values()):8}{tally.slowest:11.2f}{within[-1][1]:11.1f}{_slope(within):+12.2f}",
        flush=True,
    )


def _slope(samples: list[tuple[float, float]]) -> float:
    """The growth in MB in ten minutes: the line through the samples with the least squares."""
    return _TEN_MINUTES * linear_regression(*zip(*samples, strict=True)).slope if len(samples) > 1 else 0.0
