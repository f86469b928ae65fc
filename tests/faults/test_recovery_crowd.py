"""Hundreds of sessions with all outcomes, while everything behind the broker fails for a while."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio

from collect_result.delays import DEADLINE
from shared.events.cloud_event import EXPIRED
from tests.faults.crowd import Phone, cast, end_of
from tests.faults.service import VERSIONS, Service, running_service
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

PHONES = 1_000 if SOAK else 500
AT_ONCE = 16
OUTAGE = 40
"""How many calls each part fails in a row, each time."""


@pytest_asyncio.fixture
async def service(own_azurite: Azurite) -> AsyncIterator[Service]:
    async with running_service(own_azurite) as running:
        yield running


@pytest.mark.timeout(600)
async def test_crowd_in_every_trouble_has_exactly_the_events_that_were_driven_in(service: Service) -> None:
    """Each session that a phone was given ends as it went: with one event, or with none if it was revoked before.

    Through HTTP, Azurite, the simulator, the local host and its pump. Storage, Face and the topic for events fail for
    a while: while phones are there, when their sessions are swept, and when those end of which Face says for ever that
    they have begun. Those are of the second half of the crowd, before which another version of the Face API is
    deployed. Time is the test's: the sweep comes minutes after the create, and that end after 47 hours.

    A create that fails may leave a session that no phone was told of. If there is a record of it, its event says that
    it expired; whatever Face knew of it is deleted.
    """
    phones = [Phone(service, part) for part in cast(PHONES)]

    await play(service, phones)
    fail_for_a_while(service)
    await service.let_time_pass(DEADLINE - 7_200)
    assert sum(await service.messages()) > 0, "no session waits for its deadline"
    fail_for_a_while(service)
    await service.let_time_pass()

    events = events_by_session(service.topic.events)
    driven_in = {phone.session_id: phone.part.end for phone in phones}
    ends = {
        session_id: end_of(events[session_id]) if session_id in events else None for session_id in driven_in
    }
    assert Counter(ends.values()) == Counter(driven_in.values())
    assert ends == driven_in
    assert {event["type"] for session_id, event in events.items() if session_id not in driven_in} <= {EXPIRED}
    assert [session for session in service.simulator.sessions if not session.deleted] == []
    assert await service.messages() == (0, 0, 0)
    assert service.storage.refused == 4 * OUTAGE
    assert service.topic.failed == 3 * OUTAGE
    assert sum(phone.refused for phone in phones) > 0


async def play(service: Service, phones: Sequence[Phone]) -> None:
    """Let all phones play, some at once; one part after the other fails, and the version of the Face API changes."""
    first, second = VERSIONS
    service.speak(first)
    turns = {
        len(phones) // 5: lambda: service.storage.refuse(OUTAGE),
        2 * len(phones) // 5: lambda: service.simulator.go_down(OUTAGE),
        3 * len(phones) // 5: lambda: service.topic.go_down(OUTAGE),
        len(phones) // 2: lambda: service.speak(second),
        4 * len(phones) // 5: lambda: service.storage.refuse(OUTAGE),
    }
    places = asyncio.Semaphore(AT_ONCE)

    async def play(number: int, phone: Phone) -> None:
        async with places:
            turns.get(number, lambda: None)()
            await phone.play()

    async with asyncio.TaskGroup() as group:
        for number, phone in enumerate(phones):
            group.create_task(play(number, phone))


def fail_for_a_while(service: Service) -> None:
    """Have everything fail at once."""
    service.storage.refuse(OUTAGE)
    service.simulator.go_down(OUTAGE)
    service.topic.go_down(OUTAGE)


def events_by_session(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Answer the one event of each session: duplicates are the same, to the letter."""
    told: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        told[event["subject"]].append(event)
    assert all(event == same[0] for same in told.values() for event in same)
    return {session_id: same[0] for session_id, same in told.items()}
