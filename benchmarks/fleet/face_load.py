"""What a fleet gets out of Face's rate: the deployed limiter, client and budget, in virtual time.

Face takes 10 calls a second of one resource, and counts the phones' own calls too. A check makes six: the broker's
create, read and delete, and three of the phone. Phones behave as the error guide says.
`python -m benchmarks.fleet.face_load` prints the tables.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from statistics import mean
from typing import Final

from benchmarks.fleet.people import Kind, Visitor
from benchmarks.fleet.report import table
from benchmarks.fleet.throttles import BrokerThrottle
from collect_result.delays import after_failure
from shared.errors import Failed
from shared.face.budget import Budget
from shared.face.client import FaceClient, load_version
from shared.face.model import LivenessMode, SessionSpec
from shared.http_port import HttpAnswer
from shared.keys.credentials import key_credential
from shared.keys.secret import Secret, StaticSecret
from shared.settings import Settings
from shared.web.responses import whole_seconds
from tests.support.http import answer_of
from tests.support.time import run_in_virtual_time

SEEDS: Final = (11, 12, 13)
TOLD_AT: Final = 300.0
"""Seconds after which Face refuses one create, where it is to refuse one for 26 seconds."""

_INSTANCES = (1, 4, 40)
_LOADS = (1.0, 1.5, 3.0)
FACE_RATE = 10.0
_PHONE_CALLS = 3
_CHECKS_PER_SECOND = FACE_RATE / (3 + _PHONE_CALLS)
_FIRST_MINUTE = 60.0
_PATIENCE_OF_A_PHONE = 120.0
REQUEST_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The outcome of a run.

    `completed` is a share of the checks that Face can carry, and `throttled` the share of all calls that Face answered
    with 429: both after the first minute. `created` holds the seconds at which sessions were made.
    """

    completed: float
    throttled: float
    created: tuple[float, ...]


def main() -> None:
    """Print what a fleet gets out of Face's rate, also around one refusal for 26 seconds."""
    # The tables count the calls that Face refused.
    logging.disable(logging.WARNING)
    fleets = product(_INSTANCES, _LOADS)
    loads = {fleet: [simulate_load(*fleet, seed=seed) for seed in SEEDS] for fleet in fleets}
    print(f"Means of the seeds {SEEDS}:\n\n{load_table(loads)}\n")
    told = {number: simulate_load(number, 1.0, seed=SEEDS[0], told_at=TOLD_AT) for number in _INSTANCES}
    print(f"Sessions made in a minute, seed {SEEDS[0]}:\n\n{told_table(told)}")


def load_table(loads: Mapping[tuple[int, float], Sequence[LoadResult]]) -> str:
    """Render the means for each number of instances and load."""
    rows = []
    for (instances, load), results in loads.items():
        completed = mean(result.completed for result in results)
        throttled = mean(result.throttled for result in results)
        rows.append((str(instances), str(load), f"{completed:.1%}", f"{throttled:.1%}"))
    return table(("instances", "load", "checks completed", "calls with 429"), rows)


def told_table(told: Mapping[int, LoadResult]) -> str:
    """Render the sessions made in the minutes before and after a refusal at `TOLD_AT`, by number of instances."""
    head = ("instances", "the minute before", "the first minute after", "the second")
    rows = []
    for instances, result in told.items():
        minutes = Counter((at - TOLD_AT) // 60 for at in result.created)
        rows.append([str(number) for number in (instances, minutes[-1], minutes[0], minutes[1])])
    return table(head, rows)


def simulate_load(
    instances: int, load: float, *, seed: int, seconds: float = 660.0, told_at: float | None = None
) -> LoadResult:
    """Send phones to a fleet, `load` times as many as Face can carry; the same arguments give the same result.

    At `told_at` seconds Face refuses one create for 26 seconds.
    """
    return run_in_virtual_time(_simulate(instances, load, Random(f"{seed} load"), seconds, told_at))  # noqa: S311


async def _simulate(
    instances: int, load: float, chance: Random, seconds: float, told_at: float | None
) -> LoadResult:
    face = FaceOfTen(told_at)
    fleet = _Fleet(face, instances, chance)
    phones: set[asyncio.Task[None]] = set()
    number = 0
    while now() < seconds:
        await asyncio.sleep(chance.expovariate(load * _CHECKS_PER_SECOND))
        phone = asyncio.create_task(fleet.check(Visitor(Kind.HONEST, f"phone-{number}", f"home-{number}")))
        phones.add(phone)
        phone.add_done_callback(phones.discard)
        number += 1
    running = list(phones)
    for phone in running:
        phone.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return LoadResult(
        completed=fleet.completed / ((seconds - _FIRST_MINUTE) * _CHECKS_PER_SECOND),
        throttled=face.throttled(),
        created=tuple(fleet.created),
    )


class FaceOfTen:
    """Azure Face as a transport: a bucket of ten calls a second, for the broker and the phones together."""

    def __init__(self, told_at: float | None) -> None:
        self._told_at = told_at
        self._answers: list[tuple[float, bool]] = []
        self._tokens, self._filled_at = FACE_RATE, 0.0
        self._made = 0

    def take(self) -> bool:
        """Whether a call of the broker or of a phone has room."""
        at = now()
        self._tokens = min(FACE_RATE, self._tokens + (at - self._filled_at) * FACE_RATE)
        self._filled_at = at
        has_room = self._tokens >= 1
        self._tokens -= has_room
        self._answers.append((at, has_room))
        return has_room

    def throttled(self) -> float:
        """The share of calls that had no room, after the first minute."""
        answers = [has_room for at, has_room in self._answers if at >= _FIRST_MINUTE]
        return answers.count(False) / max(1, len(answers))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Answer a call of the broker."""
        await asyncio.sleep(0.05)
        wait = 0 if self.take() else 1
        if self._told_at is not None and now() >= self._told_at and method == "POST":
            self._told_at, wait = None, 26
        await asyncio.sleep(0.1)
        if wait:
            return answer_of(429, {"error": {"code": "429", "message": f"Try again in {wait} seconds."}})
        if method == "DELETE":
            return HttpAnswer(204, {}, b"")
        if method == "POST":
            self._made += 1
            session_id = f"{self._made:08x}-fa4e-4000-8000-000000000000"
            return answer_of(200, {"sessionId": session_id, "authToken": "a-token"})
        session_id = url.rpartition("/")[2]
        return answer_of(200, self.session(session_id))

    def session(self, session_id: str) -> dict[str, object]:
        """Show a session as v1.2 does: nobody looks for its outcome."""
        return {"sessionId": session_id, "status": "Running", "results": {"attempts": []}}


class _Fleet:
    """Instances of the broker over one store, as far as a check needs them: limiter, budget and client of Face."""

    def __init__(self, face: FaceOfTen, instances: int, chance: Random) -> None:
        settings = Settings.from_mapping(
            {"FACE_REGION": "westeurope", "FACE_KEY": "none-is-called", "FACE_API_VERSION": "v1.2"}
        )
        self._face = face
        self._chance = chance
        self._throttle = BrokerThrottle(settings, instances, chance)
        self._clients = [
            FaceClient(
                face,
                "https://face.example",
                load_version(settings.face_api_version),
                key_credential(StaticSecret(Secret("a-key"))),
                Budget(settings.face_max_tps, monotonic=now),
                random=chance.random,
            )
            for _ in range(instances)
        ]
        self.created: list[float] = []
        self.completed = 0

    async def check(self, who: Visitor) -> None:
        """Let one phone get a session, make its own calls, and read the result; then delete the session."""
        session_id = await self._session(who)
        if session_id is None:
            return
        self.created.append(now())
        for _ in range(_PHONE_CALLS):
            await asyncio.sleep(self._chance.uniform(1, 6))
            while not self._face.take():  # noqa: ASYNC110 - a phone asks again.
                await asyncio.sleep(self._chance.uniform(0.5, 2))
        await asyncio.sleep(0.5)
        while not await self._call(lambda client: client.result(session_id, REQUEST_ID)):  # noqa: ASYNC110
            await asyncio.sleep(self._chance.uniform(1, 2))
        self.completed += now() >= _FIRST_MINUTE
        failures = 0
        while not await self._call(lambda client: client.delete(session_id, REQUEST_ID)):
            await asyncio.sleep(after_failure(failures, 0.0, None))
            failures += 1

    async def _session(self, who: Visitor) -> str | None:
        """Ask for a session until there is one; None where the person gives up first."""
        give_up_at = now() + _PATIENCE_OF_A_PHONE
        while True:
            try:
                return await self._create(who)
            except Failed as refusal:
                wait = whole_seconds(refusal.retry_after or 1.0) + self._chance.uniform(0, 0.2)
            if now() + wait > give_up_at:
                return None
            await asyncio.sleep(wait)

    async def _create(self, who: Visitor) -> str:
        """Do as `create_session` does, on one of the instances."""
        instance = self._chance.randrange(len(self._clients))
        client = self._clients[instance]
        give_back = await self._throttle.ask(instance, who, client.require_room)
        try:
            return (
                await client.create(SessionSpec(LivenessMode.PASSIVE, who.device, 600), REQUEST_ID)
            ).session_id
        except Failed as failure:
            if not failure.request_sent:
                await give_back()
            raise

    async def _call(self, call: Callable[[FaceClient], Awaitable[object]]) -> bool:
        """Whether a call by one of the instances succeeded."""
        try:
            await call(self._chance.choice(self._clients))
        except Failed:
            return False
        return True


def now() -> float:
    """The seconds of virtual time."""
    return asyncio.get_running_loop().time()


if __name__ == "__main__":
    main()
