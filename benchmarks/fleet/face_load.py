"""What a fleet gets out of Face's rate: the deployed limiter, client and budget, in virtual time.

Face takes 10 calls a second of one resource, and counts the phones' own calls too. A check makes six: the broker's
create, read and delete, and three of the phone. Phones behave as the error guide says.
`python -m benchmarks.fleet.face_load` prints the table.
"""

import asyncio
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

import httpx

from shared.errors import Failed, UpstreamError
from shared.face.budget import Budget
from shared.face.client import FaceClient, load_version
from shared.face.model import LivenessMode, SessionSpec
from shared.keys.credentials import key_credential
from shared.keys.secret import Secret, StaticSecret
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.storage.memory import MemoryStore
from shared.throttle.limiter import Limiter
from shared.throttle.subjects import Subjects
from tests.support.time import run_in_virtual_time, virtual_clock

FACE_RATE: Final = 10.0
CALLS_OF_A_CHECK: Final = 6
SETTLING_SECONDS: Final = 60.0
"""The first minute, in which the instances find their rates, is not counted."""

SEED: Final = 11

_URL = "http://face.test"
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_ROUND_TRIP = 0.05
_SETTINGS = Settings.from_mapping({"FACE_ENDPOINT": "http://127.0.0.1:9", "FACE_KEY": "a-key"})
_PATIENCE_OF_A_PHONE = 120.0


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came of a run after its first minute.

    `completed` is a share of the checks that Face can carry, `throttled` the share of all calls that Face answered with
    429, `created` the sessions made in each minute of the run.
    """

    completed: float
    throttled: float
    created: tuple[int, ...]


@dataclass
class FaceOfTen(httpx.AsyncBaseTransport):
    """Azure Face as a transport: a bucket of ten calls a second. At `told_at` it refuses one call for 26 seconds."""

    told_at: float | None = None
    answered: Counter[int] = field(default_factory=Counter)
    tokens: float = FACE_RATE
    filled_at: float = 0.0
    made: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a call of the broker."""
        await asyncio.sleep(_ROUND_TRIP)
        if self.told_at is not None and _now() >= self.told_at and request.method == "POST":
            self.told_at = None
            return _reply(429, {"error": {"code": "429", "message": "Try again in 26 seconds."}}, "26")
        if not self.take():
            return _reply(429, {"error": {"code": "429", "message": "Try again in 1 seconds."}}, "1")
        if request.method == "POST":
            self.made += 1
            session_id = f"{self.made:08x}-fa4e-4000-8000-000000000000"
            return _reply(200, {"sessionId": session_id, "authToken": "a-token"})
        session_id = request.url.path.rpartition("/")[2]
        return _reply(200, {"id": session_id, "status": "Started"})

    def take(self) -> bool:
        """Whether a call of the broker or of a phone has room."""
        now = _now()
        self.tokens = min(FACE_RATE, self.tokens + (now - self.filled_at) * FACE_RATE)
        self.filled_at = now
        has_room = self.tokens >= 1
        self.tokens -= has_room
        if now > SETTLING_SECONDS:
            self.answered[200 if has_room else 429] += 1
        return has_room


class Fleet:
    """Instances of the broker over one store, as far as a check needs them: limiter, budget and client of Face."""

    def __init__(self, face: FaceOfTen, instances: int, random: Random) -> None:
        store, key = MemoryStore(), key_credential(StaticSecret(Secret("a-key"), name="FACE_KEY"))
        self._random = random
        self._pseudonyms = Pseudonyms(StaticSecret(Secret("a-pepper"), name="ID_PEPPER"))
        self._subjects = Subjects(_SETTINGS, self._pseudonyms)
        self._limiters = [Limiter(store, virtual_clock, random=random.random) for _ in range(instances)]
        self._clients = [
            FaceClient(
                face,
                _URL,
                load_version("v1.1-preview.1"),
                key,
                Budget(_SETTINGS.face_max_tps, monotonic=_now),
                random=random.random,
            )
            for _ in range(instances)
        ]

    async def create(self, device: str) -> str:
        """Create a session on one of the instances; raises what the broker raises."""
        number = self._random.randrange(len(self._clients))
        pseudonym = await self._pseudonyms.of("device", device)
        subjects = await self._subjects.of_create(pseudonym, None, None)
        self._clients[number].require_room()
        admission = await self._limiters[number].admit(subjects)
        try:
            spec = SessionSpec(LivenessMode.PASSIVE, device, 600)
            return (await self._clients[number].create(spec, _REQUEST_ID)).session_id
        except UpstreamError as error:
            if not error.request_sent:
                await self._limiters[number].refund(admission)
            raise

    def client(self) -> FaceClient:
        """The client of one of the instances."""
        return self._random.choice(self._clients)


def simulate_load(
    instances: int, load: float, *, seconds: float = 660.0, seed: int = 1, told_at: float | None = None
) -> LoadResult:
    """Send phones to a fleet, `load` times as many as Face can carry; the same arguments give the same result."""
    return run_in_virtual_time(_simulate(instances, load, seconds, Random(seed), told_at))  # noqa: S311 - a pattern.


async def _simulate(
    instances: int, load: float, seconds: float, random: Random, told_at: float | None
) -> LoadResult:
    face = FaceOfTen(told_at)
    fleet = Fleet(face, instances, random)
    completed: list[float] = []
    created: Counter[int] = Counter()
    phones: set[asyncio.Task[None]] = set()
    number = 0
    while _now() < seconds:
        await asyncio.sleep(random.expovariate(load * FACE_RATE / CALLS_OF_A_CHECK))
        number += 1
        phone = asyncio.create_task(_check(face, fleet, f"phone-{number}", random, completed, created))
        phones.add(phone)
        phone.add_done_callback(phones.discard)
    running = list(phones)
    for phone in running:
        phone.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    carried = (seconds - SETTLING_SECONDS) * FACE_RATE / CALLS_OF_A_CHECK
    return LoadResult(
        completed=sum(at > SETTLING_SECONDS for at in completed) / carried,
        throttled=face.answered[429] / face.answered.total(),
        created=tuple(created[minute] for minute in range(int(seconds // 60))),
    )


async def _check(
    face: FaceOfTen,
    fleet: Fleet,
    device: str,
    random: Random,
    completed: list[float],
    created: Counter[int],
) -> None:
    """One phone: a session, its own calls to Face, the result; then the broker deletes the session."""
    born = _now()
    while True:
        try:
            session_id = await fleet.create(device)
            break
        except Failed as refused:
            wait = max(1, math.ceil(refused.retry_after or 1.0)) + random.uniform(0, 0.2)
            if _now() + wait - born > _PATIENCE_OF_A_PHONE:
                return
            await asyncio.sleep(wait)
    created[int(_now() // 60)] += 1
    for _ in range(3):
        await asyncio.sleep(random.uniform(1, 6))
        while not face.take():  # noqa: ASYNC110 - a phone asks again.
            await asyncio.sleep(random.uniform(0.5, 2))
    await asyncio.sleep(0.5)
    while True:
        try:
            await fleet.client().result(session_id, _REQUEST_ID)
            break
        except Failed:
            await asyncio.sleep(1 + random.random())
    completed.append(_now())
    for attempt in range(20):
        try:
            await fleet.client().delete(session_id, _REQUEST_ID)
            return
        except Failed:
            await asyncio.sleep(min(60.0, 5.0 * 2**attempt) * random.uniform(0.8, 1.2))


def _reply(status: int, body: Mapping[str, object], retry_after: str | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | ({"Retry-After": retry_after} if retry_after else {})
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(json.dumps(body).encode()))


def _now() -> float:
    return asyncio.get_running_loop().time()


def main() -> None:
    """Print the table of docs/throttling.md."""
    logging.disable(logging.WARNING)
    print(
        "| instances | phones, beside what Face can carry | checks completed, of what Face can carry | calls with 429 |"
    )
    print("| --- | --- | --- | --- |")
    for instances in (1, 4, 40):
        for load in (1.0, 1.5, 3.0):
            result = simulate_load(instances, load, seed=SEED)
            print(
                f"| {instances} | {load} | {result.completed:.0%} | {result.throttled:.1%} |",
                flush=True,
            )
    told = simulate_load(4, 1.0, seed=SEED, told_at=300.0)
    print(f"\nSessions in each minute, with one refusal for 26 seconds after the fifth: {told.created}")


if __name__ == "__main__":
    main()
