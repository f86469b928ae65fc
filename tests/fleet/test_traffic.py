"""Random traffic of many devices over several processes: no window is ever overfull, and none refuses too early."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from shared.throttle.policy import Policy
from tests.fleet.fleet import Fleet, running_fleet, running_fleet_of_strangers
from tests.fleet.judge import Span, overfull, refused_too_early
from tests.fleet.traffic import Traffic, ask, random_traffic
from tests.support.azurite import Azurite

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSTANCES = 4
SECONDS = 30.0
POLICY = Policy.parse("3/2s, 8/10s")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(INSTANCES, azurite, simulator, THROTTLE_DEVICE=str(POLICY)) as running:
        yield running


async def test_random_traffic_over_four_processes_is_limited_exactly(fleet: Fleet) -> None:
    """Whatever 50 devices do: none ever has more than its limit, and none is refused while it has less."""
    seed = secrets.randbits(32)
    devices = [f"traffic-{seed}-{number}" for number in range(50)]

    traffic = await random_traffic(fleet, devices, SECONDS, Random(seed))  # noqa: S311 - a pattern, not a secret.

    assert not list(too_many(POLICY, traffic))
    assert not list(too_few(POLICY, traffic))
    # The same answers do not pass for those of other limits: what was seen is exact enough to tell.
    assert list(too_many(Policy.parse("2/2s"), traffic))
    assert list(too_few(Policy.parse("4/2s, 9/10s"), traffic))
    for device, spans in traffic.items():
        assert len(fleet.sessions_of(device)) == sum(span.admitted for span in spans)


async def test_instances_that_share_nothing_are_convicted(simulator: FaceSimulator) -> None:
    """Two processes, each with a memory of its own, let through twice the limit: the judge says so."""
    policy = Policy.parse("3/1h")
    async with running_fleet_of_strangers(2, simulator, THROTTLE_DEVICE=str(policy)) as strangers:
        spans = await asyncio.gather(*(ask(strangers, number % 2, "stranger") for number in range(8)))

    assert list(too_many(policy, {"stranger": spans}))


def too_many(policy: Policy, traffic: Traffic) -> Iterator[tuple[str, Span]]:
    """Answer the devices that had more than their limit, and from which call on."""
    for device, spans in traffic.items():
        for _, first in overfull(policy, spans):
            yield device, first


def too_few(policy: Policy, traffic: Traffic) -> Iterator[tuple[str, Span]]:
    """Answer the devices that were refused while they had less than their limit, and when."""
    for device, spans in traffic.items():
        for early in refused_too_early(policy, spans):
            yield device, early
