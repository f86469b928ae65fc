"""Looking up names: no hang of one name holds up another, and a known address outlives a bad name server."""

import asyncio
import socket
import threading

import pytest
from aiohttp.abc import ResolveResult

from shared.resolver import FRESH_SECONDS, STALE_SECONDS, Resolver
from tests.support.time import in_virtual_time


class NameServer:
    """Answers look-ups as a test says: names in `hanging` wait until `release`, names in `failing` fail.

    `now` are the seconds of the resolver's clock.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked: list[str] = []
        self.hanging: set[str] = set()
        self.failing: set[str] = set()
        self.release = threading.Event()
        self.address = "203.0.113.7"

    def __call__(self, host: str, port: int, family: int) -> list[ResolveResult]:
        self.asked.append(host)
        if host in self.hanging:
            assert self.release.wait(60)
        if host in self.failing:
            raise OSError("no such name")
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=6, flags=0)]


@pytest.fixture
def server() -> NameServer:
    return NameServer()


@pytest.fixture
def resolver(server: NameServer) -> Resolver:
    return Resolver(server, monotonic=lambda: server.now)


async def test_an_address_is_looked_up_once_while_it_is_fresh(resolver: Resolver, server: NameServer) -> None:
    first = await resolver.resolve("face", 443)
    server.now += FRESH_SECONDS - 1

    assert await resolver.resolve("face", 443) == first
    assert server.asked == ["face"]


async def test_a_name_that_hangs_fails_in_time_and_holds_up_no_other(
    resolver: Resolver, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty requests for one hanging name use one thread; another name is resolved meanwhile."""
    monkeypatch.setattr("shared.resolver.DEADLINE_SECONDS", 0.5)
    server.hanging = {"face"}
    waiting = [asyncio.create_task(resolver.resolve("face", 443)) for _ in range(20)]
    await asyncio.sleep(0)

    assert (await resolver.resolve("table", 443))[0]["host"] == "203.0.113.7"
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, OSError) for error in errors)
    assert server.asked == ["face", "table"]
    server.release.set()


@in_virtual_time
async def test_a_name_that_hangs_takes_a_second_and_a_half(resolver: Resolver, server: NameServer) -> None:
    """The deadline of production leaves time for a second try of the request."""
    server.hanging = {"face"}
    with pytest.raises(OSError, match="not resolved in time"):
        await resolver.resolve("face", 443)
    assert asyncio.get_running_loop().time() == 1.5
    server.release.set()


async def test_a_known_address_is_used_while_the_name_hangs(resolver: Resolver, server: NameServer) -> None:
    """An old address serves after a moment; the look-up goes on behind it."""
    known = await resolver.resolve("face", 443)
    server.hanging = {"face"}
    server.now += FRESH_SECONDS + 1

    assert await resolver.resolve("face", 443) == known
    assert server.asked == ["face", "face"]
    server.release.set()


@pytest.mark.parametrize("age", [FRESH_SECONDS + 1, STALE_SECONDS - 1])
async def test_a_changed_address_is_used_by_the_first_request_after_a_pause(
    age: float, resolver: Resolver, server: NameServer
) -> None:
    """The host may have moved while nobody called it."""
    await resolver.resolve("face", 443)
    server.address = "203.0.113.8"
    server.now += age

    assert (await resolver.resolve("face", 443))[0]["host"] == "203.0.113.8"


async def test_a_known_address_is_used_while_look_ups_fail_but_not_for_ever(
    resolver: Resolver, server: NameServer
) -> None:
    """After an hour of failures the name is unknown again. A failure is not remembered."""
    known = await resolver.resolve("face", 443)
    server.failing = {"face"}
    server.now += FRESH_SECONDS + 1
    assert await resolver.resolve("face", 443) == known

    server.now += STALE_SECONDS
    with pytest.raises(OSError, match="no such name"):
        await resolver.resolve("face", 443)

    server.failing = set()
    assert await resolver.resolve("face", 443) == known


async def test_the_system_knows_localhost() -> None:
    """The system's own look-up answers in the shape that aiohttp takes."""
    found = await Resolver().resolve("localhost", 80, socket.AF_INET)

    assert (found[0]["host"], found[0]["port"]) == ("127.0.0.1", 80)
