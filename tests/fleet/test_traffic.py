"""Random traffic of many devices over several processes: no window is overfull, and no refusal comes too early.

The time of a decision is not visible from outside: it lies between the beginning and the end of the call. So only
what holds for each moment in between counts as proof. A call that a loaded machine answers with 503 is neither admitted
nor refused, but its charge may be stored.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from shared.text import system_clock
from shared.throttle.policy import Policy, Window
from tests.fleet.fleet import Fleet, running_fleet
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

INSTANCES = 4
SECONDS = 30.0 if SOAK else 12.0
DEVICES = 50 if SOAK else 20
LARGEST_BURST = 6
LONGEST_PAUSE_SECONDS = 4.0
POLICY = Policy.parse("3/2s, 8/10s")


@dataclass(frozen=True, slots=True)
class Call:
    """One create: its beginning and end in unix milliseconds, and its status: 200, 429 or 503."""

    began: int
    ended: int
    status: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(INSTANCES, azurite, simulator, THROTTLE_DEVICE=str(POLICY)) as running:
        yield running


async def test_random_traffic_over_four_processes_is_limited_exactly(fleet: Fleet) -> None:
    """Of all devices none gets more than its limit, and none is refused while it has less."""
    seed = secrets.randbits(32)
    random = Random(seed)  # noqa: S311 - a pattern, not a secret.
    devices = [f"traffic-{seed}-{number}" for number in range(DEVICES)]
    ends_at = system_clock() + round(SECONDS * 1000)

    traffic = await asyncio.gather(
        *(_phone(fleet, device, ends_at, Random(random.random())) for device in devices)  # noqa: S311
    )

    assert not any(overfull(POLICY, calls) or refused_too_early(POLICY, calls) for calls in traffic)
    for device, calls in zip(devices, traffic, strict=True):
        admitted, unclear = (sum(call.status == status for call in calls) for status in (200, 503))
        assert admitted <= len(fleet.sessions_of(device)) <= admitted + unclear


@pytest.mark.parametrize(
    ("calls", "is_overfull", "is_too_early"),
    [
        ([Call(0, 9, 200)] * 3, False, False),
        ([Call(0, 9, 200)] * 4, True, False),
        ([*[Call(0, 9, 200)] * 3, Call(1990, 1999, 200)], True, False),
        # The first three may be as old as their beginning, and the last one as late as its end.
        ([*[Call(0, 9, 200)] * 3, Call(1990, 2000, 200)], False, False),
        ([*[Call(at, at, 200) for at in range(0, 9000, 1000)]], True, False),
        ([*[Call(0, 9, 200)] * 3, Call(2008, 2008, 429)], False, False),
        ([*[Call(0, 9, 200)] * 3, Call(2009, 2009, 429)], False, True),
        ([*[Call(0, 9, 200)] * 2, Call(0, 9, 503), Call(5, 6, 429)], False, False),
        ([*[Call(0, 9, 200)] * 2, Call(5, 6, 429)], False, True),
        ([*[Call(0, 9, 200)] * 2, Call(5, 20, 429), Call(20, 21, 200)], False, False),
    ],
)
async def test_proof_is_sharp(calls: Sequence[Call], is_overfull: bool, is_too_early: bool) -> None:
    """One call more, or one millisecond, makes the difference; what may have been is no proof."""
    assert (overfull(POLICY, calls), refused_too_early(POLICY, calls)) == (is_overfull, is_too_early)


def overfull(policy: Policy, calls: Sequence[Call]) -> bool:
    """Whether more calls than a limit certainly lay within its period."""
    admitted = sorted((call for call in calls if call.status == 200), key=lambda call: call.began)
    return any(
        sum(call.ended - first.began < window.period_ms for call in admitted[number:]) > window.limit
        for window in policy.windows
        for number, first in enumerate(admitted)
    )


def refused_too_early(policy: Policy, calls: Sequence[Call]) -> bool:
    """Whether a call was refused although certainly no window was full at any moment of it."""
    charged = [call for call in calls if call.status != 429]
    return any(
        not any(_may_be_full(window, refused, charged) for window in policy.windows)
        for refused in calls
        if refused.status == 429
    )


def _may_be_full(window: Window, refused: Call, charged: Sequence[Call]) -> bool:
    # A window can only become fuller when a call begins: these moments stand for all between them.
    begun = [call.began for call in charged if refused.began < call.began <= refused.ended]
    return any(
        sum(call.began <= moment < call.ended + window.period_ms for call in charged) >= window.limit
        for moment in (refused.began, *begun)
    )


async def _phone(fleet: Fleet, device: str, ends_at: int, random: Random) -> list[Call]:
    """Create sessions in bursts of 1 to 6, with pauses in between."""
    calls: list[Call] = []
    while True:
        pause = random.uniform(0, LONGEST_PAUSE_SECONDS)
        if system_clock() + pause * 1000 >= ends_at:
            return calls
        await asyncio.sleep(pause)
        instances = [random.randrange(INSTANCES) for _ in range(random.randint(1, LARGEST_BURST))]
        calls += await asyncio.gather(*(_create(fleet, instance, device) for instance in instances))


async def _create(fleet: Fleet, instance: int, device: str) -> Call:
    began = system_clock()
    answer = await fleet.create(instance, device)
    ended = system_clock()
    told = answer.status_code, answer.headers.get("x-ms-error-code")
    assert told in {(200, None), (429, "DeviceThrottled"), (503, "StorageUnavailable")}, answer.text
    return Call(began, ended, answer.status_code)
