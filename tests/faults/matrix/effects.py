"""Troubles that are more than one fault of one dependency: two at once, and what one does to the others."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.faults.matrix.cells import Told, scene, world
from tests.faults.matrix.faults import FAULTS, Exchange, Fault
from tests.support.azurite import Azurite

_FAULT_OF: Final = {fault.name: fault for fault in FAULTS}
CALLERS: Final = 64


@dataclass(frozen=True, slots=True)
class Pair:
    """Two faults at once: each a dependency, the requests that it concerns, and the fault."""

    name: str
    faults: tuple[tuple[str, str, str], tuple[str, str, str]]
    answers: frozenset[str]


PAIRS: Final = (
    Pair(
        "the network is gone: Face and the table are silent",
        (("face", "", "silence"), ("table", "", "silence")),
        frozenset({"503 StorageUnavailable"}),
    ),
    Pair(
        "the key is refused, and the vault does not answer",
        (("face", "^POST", "401"), ("vault", "", "silence")),
        frozenset({"502 UpstreamUnauthorized", "503 KeyUnavailable"}),
    ),
    Pair(
        "the session cannot be swept, and not be deleted at Face",
        (("queue", "^POST", "500"), ("face", "^DELETE", "500")),
        frozenset({"503 StorageUnavailable"}),
    ),
    Pair(
        "Face and the queue are slow",
        (("face", "", "slow answer"), ("queue", "", "slow answer")),
        frozenset({"200"}),
    ),
    Pair(
        "Face is silent, and the throttle cannot be given back",
        (("face", "^POST", "silence"), ("table", "^PUT|^MERGE|^PATCH|^DELETE", "500")),
        frozenset({"504 UpstreamTimeout"}),
    ),
)


async def run_pair(azurite: Azurite, pair: Pair) -> tuple[Told, list[str]]:
    """A create under both faults, then one when both are over; returns the answer and the broken promises."""
    async with world(azurite) as shared, scene(shared) as made:
        app = made.new_app()
        assert (await made.create(app, "earlier"))[0].status == 200
        for peer, concerns, fault in pair.faults:
            made.peers[peer].concerns = concerns
            await made.peers[peer].break_with(_FAULT_OF[fault])
        told, _ = await made.create(app)
        for peer, _, _ in pair.faults:
            await made.peers[peer].heal()
        again, _ = await made.create_when_well(app)
        made.require(str(told) in pair.answers, f"answered {told}")
        made.require(told.seconds <= 10, f"took {told.seconds:.1f} s")
        made.require(again.status == 200, f"answered {again} after the faults")
        return told, made.broken


async def polls_while_a_name_hangs(azurite: Azurite) -> tuple[int, list[Told]]:
    """Twelve creates wait for Face's name, which nobody resolves; finished sessions are polled meanwhile.

    The table has closed its connections, so that the polls look its name up. Returns the number of polls, and the ones
    that failed.
    """
    async with world(azurite) as shared, scene(shared) as made:
        app = made.new_app()
        session = await made.checked()
        assert (await made.read(app, session))[1]["passed"] is True
        await made.peers["face"].heal()  # Its address is known, and too old from here on.
        fresh = made.new_app()
        asked, over = threading.Event(), threading.Event()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", _hanging(made.name_of("face"), asked, over))
            creates = [asyncio.create_task(made.create(fresh, f"hangs-{number}")) for number in range(12)]
            while not asked.is_set():
                await _pause(0.05)
            await made.peers["table"].heal()
            polls = [(await made.read(fresh, session))[0] for _ in range(40) if await _pause(0.05)]
            over.set()
            await asyncio.gather(*creates)
        return len(polls), [told for told in polls if told.status != 200]


def _hanging(host: str, asked: threading.Event, over: threading.Event) -> Callable[..., Any]:
    real = socket.getaddrinfo

    def getaddrinfo(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name == host:
            asked.set()
            over.wait(20)
        return real(name, *args, **kwargs)

    return getaddrinfo


async def _pause(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return True


async def calls_after_a_slow_face(azurite: Azurite, seconds: float) -> tuple[int, list[Told]]:
    """64 callers create while Face takes 4 to 9 s, then Face is well; returns the calls after that, and failed ones."""
    async with world(azurite) as shared, scene(shared, THROTTLE_CLIENT="off") as made:
        app = made.new_app()
        face = made.peers["face"]
        face.concerns = "^POST"
        delays = iter(range(1_000_000))

        async def slow(exchange: Exchange) -> None:
            whole = await exchange.answer()
            await asyncio.sleep(4 + next(delays) % 6)
            await exchange.send(whole)

        await face.break_with(Fault("4 to 9 s", behave=slow))
        await _for(seconds, lambda number: made.create(app, f"slow-{number}"))
        face.fault = None
        told = [(await made.create(app, f"well-{number}"))[0] for number in range(CALLERS)]
        return len(told), [one for one in told if one.status != 200]


async def _for(seconds: float, call: Callable[[str], Awaitable[object]]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds

    async def keep_calling(caller: int) -> None:
        number = 0
        while loop.time() < end:
            number += 1
            await call(f"{caller}-{number}")

    await asyncio.gather(*map(keep_calling, range(CALLERS)))
