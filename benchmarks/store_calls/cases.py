"""The requests that are measured: how each is prepared, and what it may cost."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.store_calls.bench import Bench
from shared.errors import DeviceThrottled
from shared.storage.port import Table

Request = Callable[[], Awaitable[object]]
"""Sends the request that was prepared, once."""


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of request.

    `target` is how many round trips to the store it may make one after another; `timed` says whether its cost is
    measured.
    """

    name: str
    prepare: Callable[[Bench], Awaitable[Request]]
    target: int | None = None
    timed: bool = False


async def known(bench: Bench) -> Request:
    """A create of a device that was served by this instance last."""
    device = bench.device()
    await bench.create(bench.here, device)
    return lambda: bench.create(bench.here, device)


async def known_with_key(bench: Bench) -> Request:
    """The same with an idempotency key."""
    device = bench.device()
    await bench.create(bench.here, device)
    return lambda: bench.create(bench.here, device, _key(device))


async def outdated(bench: Bench) -> Request:
    """A create of a device that this instance knows, but that another one has served since."""
    device = bench.device()
    await bench.create(bench.here, device)
    await bench.create(bench.elsewhere, device)
    return lambda: bench.create(bench.here, device)


async def unknown(bench: Bench) -> Request:
    """A create of a device that was never seen."""
    device = bench.device()
    return lambda: bench.create(bench.here, device)


async def unknown_with_key(bench: Bench) -> Request:
    """The same with an idempotency key."""
    device = bench.device()
    return lambda: bench.create(bench.here, device, _key(device))


async def refused(bench: Bench) -> Request:
    """The first create too many."""
    device = bench.device()
    await bench.use_up(device)
    return lambda: _refused(bench, device)


async def refused_again(bench: Bench) -> Request:
    """Another one after it."""
    device = bench.device()
    await bench.use_up(device)
    await _refused(bench, device)
    return lambda: _refused(bench, device)


async def refused_again_with_key(bench: Bench) -> Request:
    """Another one after it, with an idempotency key: who was answered before is answered again, so one looks."""
    device = bench.device()
    await bench.use_up(device)
    await _refused(bench, device)
    return lambda: _refused(bench, device, _key(device))


async def replayed(bench: Bench) -> Request:
    """A create that was answered before, sent again."""
    device = bench.device()
    await bench.create(bench.here, device, _key(device))
    return lambda: bench.create(bench.here, device, _key(device))


async def poll_open(bench: Bench) -> Request:
    """A poll before there is a result."""
    session = await bench.create(bench.here, bench.device())
    return lambda: bench.poll(session)


async def poll_soon(bench: Bench) -> Request:
    """A poll less than a second after the one before."""
    session = await bench.create(bench.here, bench.device())
    await bench.poll(session)
    return lambda: bench.poll(session)


async def poll_finding(bench: Bench) -> Request:
    """The poll that finds the result."""
    session = await bench.create(bench.here, bench.device())
    bench.face.finished.add(session.session_id)
    return lambda: bench.poll(session)


async def poll_terminal(bench: Bench) -> Request:
    """A poll after that."""
    session = await bench.create(bench.here, bench.device())
    bench.face.finished.add(session.session_id)
    await bench.poll(session)
    return lambda: bench.poll(session)


async def bare_read(bench: Bench) -> Request:
    """What everything is compared with: one row is read."""
    session = await bench.create(bench.elsewhere, bench.device())
    return lambda: bench.store.get(Table.SESSIONS, session.session_id)


CASES: Final = (
    Case("create: device known here", known, target=3, timed=True),
    Case("create: device known here, idempotency key", known_with_key, target=4, timed=True),
    Case("create: device known here, then served elsewhere", outdated),
    Case("create: device unknown", unknown, timed=True),
    Case("create: device unknown, idempotency key", unknown_with_key),
    Case("create: refused", refused, timed=True),
    Case("create: refused again", refused_again, target=0, timed=True),
    Case("create: refused again, idempotency key", refused_again_with_key),
    Case("create: replayed", replayed, timed=True),
    Case("poll: no result yet", poll_open, timed=True),
    Case("poll: sooner than the limit", poll_soon),
    Case("poll: finds the result", poll_finding),
    Case("poll: result known", poll_terminal, target=1, timed=True),
)

BARE_READ: Final = Case("bare read", bare_read)


def _key(device: str) -> str:
    return f"key-of-{device}"


async def _refused(bench: Bench, device: str, key: str | None = None) -> None:
    try:
        await bench.create(bench.here, device, key)
    except DeviceThrottled:
        return
    raise AssertionError("expected the create to be refused")
