"""Random traffic over instances: phones that ask in bursts, each time somewhere else."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from random import Random

import httpx

from shared.clock import system_clock
from tests.fleet.fleet import Fleet
from tests.fleet.judge import Span

LARGEST_BURST = 6
LONGEST_PAUSE_SECONDS = 4.0

Traffic = Mapping[str, Sequence[Span]]
"""The calls of each device."""


async def random_traffic(fleet: Fleet, devices: Sequence[str], seconds: float, random: Random) -> Traffic:
    """Have each device ask for sessions for some seconds, in bursts of 1 to 6 with pauses in between.

    Nobody sets a pace: on a slow machine there is less traffic.
    """
    end = system_clock() + round(seconds * 1000)
    phones = [_phone(fleet, device, end, Random(random.random())) for device in devices]  # noqa: S311 - a pattern.
    return dict(zip(devices, await asyncio.gather(*phones), strict=True))


async def ask(fleet: Fleet, instance: int, device: str) -> Span:
    """Ask an instance for a session; raises `AssertionError` for an answer that neither gives one nor throttles."""
    began = system_clock()
    answer = await fleet.create(instance, device)
    return Span(began, system_clock(), _admitted(answer))


async def _phone(fleet: Fleet, device: str, end: int, random: Random) -> list[Span]:
    bursts: list[list[Span]] = []
    while True:
        pause = random.uniform(0, LONGEST_PAUSE_SECONDS)
        if system_clock() + pause * 1000 >= end:
            return list(chain.from_iterable(bursts))
        await asyncio.sleep(pause)
        instances = [random.randrange(len(fleet.instances)) for _ in range(random.randint(1, LARGEST_BURST))]
        bursts.append(await asyncio.gather(*(ask(fleet, instance, device) for instance in instances)))


def _admitted(answer: httpx.Response) -> bool:
    told = answer.status_code, answer.headers.get("x-ms-error-code")
    assert told in {(200, None), (429, "DeviceThrottled")}, answer.text
    return told == (200, None)
