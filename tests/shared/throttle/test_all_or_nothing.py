"""All limits of a request hold together: who is refused by any of them leaves everything as it was."""

from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from create_session.use_case import CreateCommand, create_session
from get_result.use_case import ResultQuery, get_result
from shared.access import Caller
from shared.app import App
from shared.errors import BrokerError, SessionNotFound, Throttled
from shared.face.model import LivenessMode, SessionSpec
from shared.storage.port import Table
from shared.throttle.limiter import Subject
from shared.throttle.rows import Row
from tests.create_session.world import World
from tests.support.processes import SOAK

SECOND = 1_000
LIMITS: Mapping[str, Sequence[tuple[int, int]]] = {
    "device": ((2, 60 * SECOND), (3, 600 * SECOND)),
    "failures": ((2, 300 * SECOND),),
    "principal": ((3, 120 * SECOND),),
    "client": ((4, 180 * SECOND),),
}
"""For each limit its windows: how many in how many milliseconds."""
SETTINGS = {
    f"THROTTLE_{name.upper()}": ", ".join(f"{limit}/{period // SECOND}s" for limit, period in windows)
    for name, windows in LIMITS.items()
}
NOBODYS_SESSION = "ffffffff-fa4e-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Create:
    """A device asks for a session, by way of a caller and an address."""

    device: str
    caller: Caller
    with_key: bool


@dataclass(frozen=True, slots=True)
class Miss:
    """An address asks for a session that is not there."""

    caller: Caller


@dataclass(frozen=True, slots=True)
class Fail:
    """A device's check did not pass."""

    device: str


Step = Create | Miss | Fail | int
"""What happens; a number of seconds that pass."""

DEVICES = st.sampled_from(["anna", "bert"])
CALLERS = st.builds(
    Caller, st.sampled_from([None, "app-one", "app-two"]), st.sampled_from([None, "192.0.2.1", "192.0.2.2"])
)
CREATES = st.builds(Create, DEVICES, CALLERS, st.booleans())
STEPS: st.SearchStrategy[Step] = st.one_of(
    CREATES,
    CREATES,
    st.builds(Miss, CALLERS),
    st.builds(Fail, DEVICES),
    st.sampled_from([0, 30, 60, 120, 180, 300]),
)


class Reference:
    """When what was charged, counted in the plainest way."""

    def __init__(self) -> None:
        self.charged: dict[tuple[str, str], list[int]] = defaultdict(list)

    def refuses(self, limits: Sequence[tuple[str, str]], now: int) -> bool:
        """Whether any of these limits is used up."""
        return any(
            sum(at > now - period for at in self.charged[name, who]) >= limit
            for name, who in limits
            for limit, period in LIMITS[name]
        )

    def charge(self, limits: Sequence[tuple[str, str]], now: int) -> None:
        """Count one more; failures are counted when they happen, once for each time."""
        for limit in limits:
            if limit[0] != "failures":
                self.charged[limit].append(now)

    def fail(self, device: str, now: int) -> None:
        """Count a failure."""
        if now not in self.charged["failures", device]:
            self.charged["failures", device].append(now)


def limits_of(step: Create | Miss) -> Iterator[tuple[str, str]]:
    """The limits that a request counts against, and who is counted by each."""
    if isinstance(step, Create):
        yield "device", step.device
        yield "failures", step.device
        if step.caller.principal:
            yield "principal", step.caller.principal
    if step.caller.network:
        yield "client", step.caller.network


async def ask(app: App, step: Create | Miss, number: int) -> BrokerError | None:
    """Send a request; answers how it failed."""
    try:
        if isinstance(step, Create):
            await create_session(app, command(step, number))
        else:
            await get_result(app, ResultQuery(NOBODYS_SESSION, "a-token", step.caller, "a-request"))
    except BrokerError as error:
        return error
    return None


def command(step: Create, number: int) -> CreateCommand:
    return CreateCommand(
        spec=SessionSpec(LivenessMode.PASSIVE, step.device, 600),
        device_id=step.device,
        client_reference=None,
        caller=step.caller,
        idempotency_key=f"the-key-of-request-{number}" if step.with_key else None,
        fingerprint=str(number),
        request_id="a-request",
    )


async def fail(app: App, device: str) -> None:
    key, limit = app.subjects.of_failure(await app.pseudonyms.of("device", device))
    await app.limiter.charge(key, limit, app.clock())


@given(st.lists(st.tuples(STEPS, st.integers(0, 1)), max_size=40))
@settings(deadline=None, max_examples=10_000 if SOAK else 300)
def test_request_refused_by_any_limit_leaves_every_row_as_it_was(steps: list[tuple[Step, int]]) -> None:
    """Device, failures, principal and client hold together, on whichever of two instances.

    A request is refused exactly where one of its limits is used up. Then no row of any table has changed, Face was
    not called, and no message sent. Else each of its limits is charged once.
    """
    reference = Reference()
    with closing(World(**SETTINGS)) as world:
        instances = (world.undisturbed(), world.undisturbed())
        for number, (step, place) in enumerate(steps):
            happen(world, instances[place], reference, step, number)


def happen(world: World, app: App, reference: Reference, step: Step, number: int) -> None:
    """Let one thing happen, and compare what came of it with the reference."""
    now = world.clock()
    if isinstance(step, int):
        world.clock.advance_seconds(step)
    elif isinstance(step, Fail):
        world.run(fail(app, step.device))
        reference.fail(step.device, now)
    else:
        before, limits = everything(world), list(limits_of(step))
        error = world.run(ask(app, step, number))
        assert isinstance(error, Throttled) == reference.refuses(limits, now), error
        if isinstance(error, Throttled):
            assert everything(world) == before
        else:
            assert isinstance(error, SessionNotFound) == isinstance(step, Miss)
            reference.charge(limits, now)


@given(
    st.lists(st.tuples(CREATES, st.integers(0, 1)), min_size=2, max_size=8), st.randoms(use_true_random=False)
)
@settings(deadline=None, max_examples=5_000 if SOAK else 100)
def test_crowd_charges_nothing_but_what_is_admitted(crowd: list[tuple[Create, int]], chance: Random) -> None:
    """In whatever order the calls of two instances come: rows hold what was admitted, and who was refused had to be."""
    with closing(World(**SETTINGS)) as world:
        requests = [world.send(place, asking(step, number)) for number, (step, place) in enumerate(crowd)]
        while world.stage.calls:
            world.go_on(chance.choice(world.stage.calls))
        errors = [request.task.result() for request in requests]
        compare(world, [step for step, _ in crowd], errors)


def compare(world: World, crowd: Sequence[Create], errors: Sequence[BrokerError | None]) -> None:
    """Compare what is stored, and who was refused, with what has to be."""
    reference = Reference()
    admitted = [step for step, error in zip(crowd, errors, strict=True) if error is None]
    refused = [step for step, error in zip(crowd, errors, strict=True) if isinstance(error, Throttled)]
    for step in admitted:
        reference.charge(list(limits_of(step)), world.clock())

    assert len(admitted) + len(refused) == len(crowd), errors
    assert all(reference.refuses(list(limits_of(step)), world.clock()) for step in refused)
    assert entries(world) == world.run(charges(world.undisturbed(), admitted))
    rows = Counter(table for table, _ in world.store.rows() if table is not Table.THROTTLE)
    with_key = sum(step.with_key for step in admitted)
    assert rows == Counter({Table.SESSIONS: len(admitted), Table.IDEMPOTENCY: with_key})


def asking(step: Create, number: int) -> Callable[[App], Coroutine[Any, Any, BrokerError | None]]:
    return lambda app: ask(app, step, number)


async def charges(app: App, admitted: Sequence[Create]) -> Counter[str]:
    """How many entries each throttle row has to have."""
    subjects: list[Subject] = []
    for step in admitted:
        device = await app.pseudonyms.of("device", step.device)
        subjects += await app.subjects.of_create(device, step.caller.principal, step.caller.network)
    return Counter(subject.key for subject in subjects)


def entries(world: World) -> Counter[str]:
    """How many entries each throttle row has."""
    stored = [entity for (table, _), (entity, _) in world.store.rows().items() if table is Table.THROTTLE]
    return Counter({entity.key: sum(map(len, Row.of(entity).logs.values())) for entity in stored})


def everything(world: World) -> tuple[object, ...]:
    """All that a request could leave behind."""
    return world.store.rows(), len(world.queue.messages), world.face.calls.total()
