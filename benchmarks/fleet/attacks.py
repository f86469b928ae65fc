"""A region under attack as a whole: the deployed use-cases, limits, budget and collector, in virtual time.

Face takes 10 calls a second of one resource, and counts the phones' own calls too. Honest people make a third as many
checks as Face can carry, and behave as the clients in `clients/` do: they repeat a create under its idempotency key,
wait as long as they are told to, and give up after 90 seconds without the result. A client gives up after 60 seconds
without a session; a person then asks once more.
`python -m benchmarks.fleet.attacks` prints the table.
"""

import asyncio
import itertools
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import mean
from typing import Any, Final, TypeVar

from benchmarks.fleet.face_load import FACE_RATE, REQUEST_ID, FaceOfTen, now
from benchmarks.fleet.report import table
from collect_result.use_case import collect_result
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from shared.access import Caller
from shared.app import App, build
from shared.errors import Failed
from shared.events.publisher import MemoryPublisher
from shared.face.budget import Budget
from shared.face.client import FaceClient, load_version
from shared.face.model import LivenessMode, SessionSpec
from shared.http_port import HttpAnswer
from shared.keys.credentials import key_credential
from shared.keys.secret import Secret, StaticSecret
from shared.queues.message import CollectMessage
from shared.queues.port import MemoryQueue
from shared.settings import Settings
from shared.storage.port import MemoryStore
from shared.web.responses import whole_seconds
from tests.support.http import answer_of
from tests.support.time import run_in_virtual_time, virtual_clock

T = TypeVar("T")

INSTANCES: Final = 4
QUIET_SECONDS: Final = 60.0
ATTACK_SECONDS: Final = 120.0
SEED: Final = 21

PATIENCE_FOR_RESULT: Final = 90.0
"""`RESULT_SECONDS` of clients/javascript/liveness.js; a test compares them."""

LOAD: Final = 1 / 3
"""The checks that honest people begin, as a share of what Face can carry."""

_CALLS_OF_A_CHECK = 6
_PATIENCE = 2 * 60.0
_TOKEN_SECONDS = 600
_PHONE_CALLS = 3
_TARGETS = 10
"""One in so many honest phones is behind the address that the attacker uses, such as a carrier's."""
_SHARED = "198.51.100.1"
_DIGEST = "a" * 64
_GOOD = {
    "attemptId": 1,
    "attemptStatus": "Succeeded",
    "result": {"livenessDecision": "realface", "digest": _DIGEST, "targets": {"color": {}}},
}


@dataclass(frozen=True, slots=True)
class Person:
    """An honest person: the address and sign-in, and the id of the phone.

    `is_target`: the attacker uses the same address, or knows the id of the phone.
    """

    caller: Caller
    device: str
    is_target: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The shares of honest checks that were completed.

    `throttled` is the share of Face's answers that were 429. `cut_off` counts the sessions that were deleted while
    their check went on.
    """

    before: float
    under: float
    neighbours: float
    throttled: float
    cut_off: int


class Face(FaceOfTen):
    """Face with results: a check is done after three calls of its phone. While `is_down`, it answers 500."""

    def __init__(self) -> None:
        super().__init__(told_at=None)
        self.is_down = False
        self.started: set[str] = set()
        self.done: set[str] = set()
        self.deleted: set[str] = set()

    def take_of_phone(self, session_id: str) -> bool:
        """Whether a phone's call has room: it starts the check. A deleted session has none, and uses none up."""
        if session_id in self.deleted or not self.take():
            return False
        self.started.add(session_id)
        return True

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Answer a call of the broker."""
        if self.is_down:
            await asyncio.sleep(0.15)
            return answer_of(500, {"error": {"code": "InternalError", "message": "Internal server error."}})
        response = await super().send(method, url, headers, content)
        if method == "DELETE" and response.status == 204:
            self.deleted.add(url.rpartition("/")[2])
        return response

    def session(self, session_id: str) -> dict[str, object]:
        """Show a session as v1.2 does."""
        is_done = session_id in self.done
        attempts = [_GOOD] if is_done else []
        status = "Succeeded" if is_done else "Running" if session_id in self.started else "NotStarted"
        return {"sessionId": session_id, "status": status, "results": {"attempts": attempts}}


class Region:
    """Instances over one store, queue and Face, and those who call them."""

    def __init__(self, chance: Random, *, signed_in: bool, instances: int) -> None:
        self.chance = chance
        self.signed_in = signed_in
        self.face = Face()
        self.people = 0
        self._numbers = itertools.count(1)
        self._requests: set[asyncio.Task[None]] = set()
        store, self._queue = MemoryStore(), MemoryQueue(virtual_clock)
        settings = Settings.from_mapping(
            {
                "FACE_REGION": "westeurope",
                "FACE_KEY": "none-is-called",
                "FACE_API_VERSION": "v1.2",
                "ID_PEPPER": "the-same-on-all-instances",
                "CLIENT_ADDRESS": "appservice",
            }
        )
        self._apps = [
            build(
                settings,
                clock=virtual_clock,
                face=self._client(settings),
                store=store,
                queue=self._queue,
                publisher=MemoryPublisher(),
            )
            for _ in range(instances)
        ]

    def _client(self, settings: Settings) -> FaceClient:
        return FaceClient(
            self.face,
            "https://face.example",
            load_version(settings.face_api_version),
            key_credential(StaticSecret(Secret("a-key"))),
            Budget(settings.face_max_tps, monotonic=now),
            random=self.chance.random,
        )

    @property
    def _app(self) -> App:
        return self.chance.choice(self._apps)

    def caller(self, name: str, network: str) -> Caller:
        """Somebody who signs in where callers have to."""
        return Caller(f"https://issuer.example {name}" if self.signed_in else None, network)

    def next_person(self) -> Person:
        """An honest person with an own phone."""
        self.people += 1
        number, is_target = self.people, self.people % _TARGETS == 0
        network = _SHARED if is_target else f"192.0.{number // 250}.{number % 250}"
        return Person(self.caller(f"person-{number}", network), f"phone-{number}", is_target)

    def start(self, request: Coroutine[Any, Any, object]) -> None:
        """Send a request without waiting for its answer."""

        async def send() -> None:
            with suppress(Failed):
                await request

        task = asyncio.create_task(send())
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def create(self, caller: Caller, device: str, key: str | None = None) -> Created:
        """Ask one of the instances for a session."""
        spec = SessionSpec(LivenessMode.PASSIVE, device, _TOKEN_SECONDS)
        command = CreateCommand(spec, device, None, caller, key, device, REQUEST_ID)
        return await create_session(self._app, command)

    async def read(
        self, caller: Caller, session_id: str, token: str, digest: str | None = None
    ) -> tuple[bool, float]:
        """Ask for a result: whether the check passed, and the seconds until the next poll."""
        state = await get_result(self._app, ResultQuery(session_id, token, caller, REQUEST_ID, digest))
        return state.record.passed, (state.retry_after_ms or 0) / 1000

    async def check(self, person: Person) -> bool:
        """Let a person make one check; returns whether it was completed."""
        give_up_at = now() + _PATIENCE
        key = f"key-of-a-check-{next(self._numbers):08}"
        created = await self.patiently(give_up_at, lambda: self.create(person.caller, person.device, key))
        if created is None:
            return False
        for _ in range(_PHONE_CALLS):
            await asyncio.sleep(self.chance.uniform(1, 6))
            while not self.face.take_of_phone(created.session_id):
                if created.session_id in self.face.deleted:
                    return False
                await asyncio.sleep(self.chance.uniform(0.5, 2))
        self.face.done.add(created.session_id)
        give_up_at = now() + PATIENCE_FOR_RESULT
        while now() < give_up_at:
            found = await self.patiently(
                give_up_at,
                lambda: self.read(person.caller, created.session_id, created.auth_token, _DIGEST),
            )
            if found is None or found[0]:
                return found is not None
            await asyncio.sleep(whole_seconds(found[1]) + self.chance.uniform(0, 0.2))
        return False

    async def patiently(self, give_up_at: float, call: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat a call as the error guide says until it succeeds; None where the person gives up first."""
        failures = 0
        while True:
            try:
                return await call()
            except Failed as refusal:
                # Without a Retry-After a phone waits longer each time.
                wait = whole_seconds(refusal.retry_after or min(2.0**failures, 16.0))
                failures += 1
            wait_and_way = wait + self.chance.uniform(0, 0.2)
            if now() + wait_and_way > give_up_at:
                return None
            await asyncio.sleep(wait_and_way)

    async def collect(self) -> None:
        """Work on the queue as the Functions host does."""
        while True:
            await asyncio.sleep(0.5)
            while message := self._queue.take(600):
                await collect_result(self._app, CollectMessage.from_text(message.text))
                self._queue.finish(message)


Attack = Callable[[Region], Coroutine[Any, Any, None]]


async def nobody(region: Region) -> None:
    """No attack."""


async def hammering(region: Region) -> None:
    """One device asks for sessions all the time."""
    caller = region.caller("mallory", _SHARED)
    while True:
        await _creates(region, caller, "hammer")


async def new_ids(region: Region) -> None:
    """Each create names a new device, all from one address."""
    caller = region.caller("mallory", _SHARED)
    for number in itertools.count():
        await _creates(region, caller, f"made-up-{number}")


async def new_ids_everywhere(region: Region) -> None:
    """The same over 250 addresses, with 20 accounts where callers sign in."""
    for number in itertools.count():
        account, host = region.chance.randrange(20), region.chance.randrange(250)
        await _creates(region, region.caller(f"account-{account}", f"203.0.113.{host}"), f"made-up-{number}")


async def idle_sessions(region: Region) -> None:
    """Thirty sessions of one address that nobody starts are polled all the time; no caller may have more than ten."""
    sessions = []
    for number in range(30):
        caller = region.caller(f"mallory-{number // 10}", _SHARED)
        if created := await region.patiently(
            now() + _PATIENCE, partial(region.create, caller, f"idle-{number}")
        ):
            sessions.append(_polls(region, caller, created))
    await asyncio.gather(*sessions)


async def looping_phone(region: Region) -> None:
    """A phone calls Face with its token, one call after the other: each takes a tenth to a fifth of a second."""
    caller = region.caller("mallory", _SHARED)
    created = await region.patiently(now() + _PATIENCE, lambda: region.create(caller, "looping"))
    while created:
        await asyncio.sleep(region.chance.uniform(0.1, 0.2))
        region.face.take_of_phone(created.session_id)


async def bogus_ids(region: Region) -> None:
    """Sixty sessions that do not exist are asked for each second, from the address of a carrier."""
    caller = region.caller("mallory", _SHARED)
    while True:
        await asyncio.sleep(1 / 60)
        with suppress(Failed):
            await region.read(caller, "00000000-fa4e-4000-8000-000000000000", "a-guess")


async def known_devices(region: Region) -> None:
    """A stranger makes five creates with the id of some phones, each shortly before its owner does."""
    last = 0
    while True:
        await asyncio.sleep(1)
        number = (region.people // _TARGETS + 1) * _TARGETS
        caller = region.caller(f"mallory-{number}", f"203.0.113.{number % 250}")
        for _ in range(0 if number == last else 5):
            with suppress(Failed):
                await region.create(caller, f"phone-{number}")
        last = number


async def down(region: Region) -> None:
    """Face answers 500 for a minute, and is well again."""
    region.face.is_down = True
    await asyncio.sleep(60)
    region.face.is_down = False


ATTACKS: Final[Mapping[str, Attack]] = {
    "No attack": nobody,
    "One device hammering": hammering,
    "New ids, one address": new_ids,
    "New ids, 250 addresses, 20 accounts": new_ids_everywhere,
    "30 idle sessions of one address, polled": idle_sessions,
    "A phone that loops at Face": looping_phone,
    "The same until its token ends: ten minutes": looping_phone,
    "Bogus ids from a carrier's address": bogus_ids,
    "Five creates with the id of a known device": known_devices,
    "A minute of Face's 500s": down,
}

LASTING: Final[Mapping[str, float]] = {"The same until its token ends: ten minutes": _TOKEN_SECONDS}
"""The seconds of the attacks that take another time than the others."""


def simulate(
    attack: Attack,
    *,
    signed_in: bool,
    seed: int = SEED,
    seconds: float = ATTACK_SECONDS,
    instances: int = INSTANCES,
    load: float = LOAD,
) -> Outcome:
    """Let honest people make checks, and attack them after a while; the same arguments give the same result.

    `load` is how many checks they begin, as a share of what Face can carry.
    """
    # The app's own jitter comes from the global source.
    random.seed(seed)
    chance = Random(f"{seed} attack")  # noqa: S311

    async def run() -> Outcome:
        region = Region(chance, signed_in=signed_in, instances=instances)
        return await _simulate(region, attack, seconds, load * FACE_RATE / _CALLS_OF_A_CHECK)

    return run_in_virtual_time(run())


async def _simulate(region: Region, attack: Attack, seconds: float, checks_per_second: float) -> Outcome:
    collector = asyncio.create_task(region.collect())
    before = await _checks(region, QUIET_SECONDS, checks_per_second)
    attacker = asyncio.create_task(attack(region))
    under = await _checks(region, seconds, checks_per_second)
    for task in (collector, attacker):
        task.cancel()
    await asyncio.gather(collector, attacker, return_exceptions=True)
    return Outcome(
        before=_share(before),
        under=_share(under),
        neighbours=_share([check for check in under if check[0].is_target]),
        throttled=region.face.throttled(),
        cut_off=len(region.face.deleted & region.face.started - region.face.done),
    )


async def _checks(region: Region, seconds: float, checks_per_second: float) -> list[tuple[Person, bool]]:
    """Let people begin checks for so many seconds, and wait for the last one."""
    people, checks, ends_at = [], [], now() + seconds
    while now() < ends_at:
        people.append(region.next_person())
        checks.append(asyncio.create_task(region.check(people[-1])))
        await asyncio.sleep(region.chance.expovariate(checks_per_second))
    return list(zip(people, await asyncio.gather(*checks), strict=True))


def _share(checks: Sequence[tuple[Person, bool]]) -> float:
    return sum(is_completed for _, is_completed in checks) / max(1, len(checks))


async def _creates(region: Region, caller: Caller, device: str) -> None:
    """Ask for a session without waiting for the answer; about thirty a second."""
    await asyncio.sleep(region.chance.expovariate(30))
    region.start(region.create(caller, device))


async def _polls(region: Region, caller: Caller, created: Created) -> None:
    while True:
        await asyncio.sleep(region.chance.uniform(0.5, 1.5))
        with suppress(Failed):
            await region.read(caller, created.session_id, created.auth_token)


def attack_table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Render the shares, without and with sign-in."""
    head = (
        "honest checks completed",
        "without sign-in",
        "of those aimed at",
        "signed in",
        "of those aimed at",
    )
    return table(
        head,
        [
            (name, *[f"{share:.1%}" for outcome in both for share in (outcome.under, outcome.neighbours)])
            for name, both in outcomes.items()
        ],
    )


def looping_over(seeds: Sequence[int]) -> str:
    """Say how a phone that loops until its token ends fares with many seeds, without and with sign-in."""
    outcomes = [
        simulate(looping_phone, signed_in=signed_in, seed=seed, seconds=_TOKEN_SECONDS)
        for seed in seeds
        for signed_in in (False, True)
    ]
    shares = [outcome.under for outcome in outcomes]
    return (
        f"{len(outcomes)} runs: {mean(shares):.0%} of the honest checks completed, {min(shares):.0%} in the worst; "
        f"at most {max(outcome.cut_off for outcome in outcomes)} session cut off in a run"
    )


def main() -> None:
    """Print what each attack costs honest people, or with `--looping FIRST LAST` how it varies with the seed."""
    logging.disable(logging.CRITICAL)
    if sys.argv[1:2] == ["--looping"]:
        first, last = map(int, sys.argv[2:])
        print(looping_over(range(first, last + 1)))
        return
    outcomes = {
        name: [
            simulate(attack, signed_in=signed_in, seconds=LASTING.get(name, ATTACK_SECONDS))
            for signed_in in (False, True)
        ]
        for name, attack in ATTACKS.items()
    }
    print(f"Seed {SEED}, {INSTANCES} instances:\n\n{attack_table(outcomes)}")


if __name__ == "__main__":
    main()
