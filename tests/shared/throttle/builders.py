"""Subjects as the use-cases build them, limiters without jitter, and a look at stored logs."""

import asyncio

from shared.errors import ClientThrottled, DeviceThrottled, StorageUnavailable
from shared.storage.port import Table
from shared.throttle.limiter import Admission, Limiter, Subject
from shared.throttle.policy import Limit, Limits, Log, Policy
from shared.throttle.rows import Row
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import FakeClock

START = FakeClock().now

DEVICE = Limit("device", Policy.parse("5/10m, 20/d"), "created", charged=True)
FAILURES = Limit("failures", Policy.parse("5/30m"), "failed", charged=False)
CLIENT = Limit("client", Policy.parse("60/10m"), "created", charged=True)


def limit(policy: str, name: str = "device", log: str = "created", *, charged: bool = True) -> Limit:
    """Build a limit from a policy's text."""
    return Limit(name, Policy.parse(policy), log, charged)


def device(name: str = "a", *limits: Limit) -> Subject:
    """Build a device's subject; with the default limits where none are given."""
    return Subject(f"device-{name}", Limits(*limits or (DEVICE, FAILURES)), DeviceThrottled)


def client(name: str = "a", *limits: Limit) -> Subject:
    """Build the subject of a client address."""
    return Subject(f"client-{name}", Limits(*limits or (CLIENT,)), ClientThrottled)


def limiter(store: FakeStore, clock: FakeClock | None = None, *, cached_refusals: int = 10_000) -> Limiter:
    """Build a limiter without jitter and without real pauses."""
    return Limiter(store, clock or FakeClock(), random=lambda: 0.0, cached_refusals=cached_refusals)


Outcome = Admission | DeviceThrottled | ClientThrottled | StorageUnavailable


async def attempt(limiter: Limiter, *subjects: Subject) -> Outcome:
    """Ask for admission, and return what came of it."""
    try:
        return await limiter.admit(subjects)
    except (DeviceThrottled, ClientThrottled, StorageUnavailable) as error:
        return error


async def stored(store: FakeStore, key: str) -> Row:
    """Return a stored row, or an empty one; the call is not counted."""
    entity = await store.inner.get(Table.THROTTLE, key)
    return Row.of(entity) if entity else Row(key, {})


async def stored_log(store: FakeStore, key: str, name: str = "created") -> Log:
    """Return a stored log; empty if no log is stored."""
    return (await stored(store, key)).logs.get(name, ())


async def one_turn(call: Call, effect: Effect) -> object:
    """Let other tasks run before and after the effect of a call."""
    await asyncio.sleep(0)
    try:
        return await effect()
    finally:
        await asyncio.sleep(0)
