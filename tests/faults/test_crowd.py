"""A crowd of sessions with all outcomes, while each part behind the broker fails for a while."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from collect_result.delays import DEADLINE
from shared.events.cloud_event import EXPIRED
from tests.faults.phones import Phone, cast, end_of
from tests.faults.service import VERSIONS, Service, running_service
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

PHONES = 1_000 if SOAK else 100
AT_ONCE = 16
OUTAGE_SECONDS = 120
FACE_OUTAGE_CALLS = 40


@pytest.mark.timeout(600)
async def test_each_session_of_a_crowd_ends_with_its_one_event(azurite: Azurite) -> None:
    """The event says what the phone did; a session that was revoked before its outcome has no event.

    Storage, Face and the topic for events fail for a while: first as the phones come, then when their sessions are
    swept minutes later, and again when sessions without a result end after 47 hours. Half-way through the crowd
    another version of the Face API is deployed.

    A failed create may leave a session that no phone got. If it has a record, its event says that it expired. In any
    case it is deleted at Face.
    """
    async with running_service(azurite) as service:
        phones = [Phone(service, part) for part in cast(PHONES)]

        await play(service, phones)
        fail_for_a_while(service)
        await service.let_time_pass(DEADLINE - 7_200)
        assert service.source.queue.messages, "no session waits for its deadline"
        fail_for_a_while(service)
        await service.let_time_pass()

        events = events_by_session(service.publisher.events)
        wanted = {phone.session_id: phone.part.end for phone in phones}
        ends = {
            session_id: end_of(events[session_id]) if session_id in events else None for session_id in wanted
        }
        assert Counter(ends.values()) == Counter(wanted.values())
        assert ends == wanted
        assert {event["type"] for session_id, event in events.items() if session_id not in wanted} <= {
            EXPIRED
        }
        assert [session for session in service.simulator.sessions if not session.deleted] == []
        assert (service.source.queue.messages, service.source.poisoned.messages) == ([], [])
        assert min(service.storage.failed, service.topic.failed) > 0
        assert sum(phone.refused for phone in phones) > 0


async def play(service: Service, phones: Sequence[Phone]) -> None:
    """Let all phones play, some at once; one part after the other fails, and the Face API's version changes."""
    first, second = VERSIONS
    service.use_version(first)
    turns: dict[int, Callable[[], None]] = {
        len(phones) // 5: lambda: service.storage.begin(OUTAGE_SECONDS),
        2 * len(phones) // 5: lambda: service.simulator.go_down(FACE_OUTAGE_CALLS),
        3 * len(phones) // 5: lambda: service.topic.begin(OUTAGE_SECONDS),
        len(phones) // 2: lambda: service.use_version(second),
        4 * len(phones) // 5: lambda: service.storage.begin(OUTAGE_SECONDS),
    }
    places, ended = asyncio.Semaphore(AT_ONCE), asyncio.Event()

    async def play_one(number: int, phone: Phone) -> None:
        async with places:
            turns.get(number, lambda: None)()
            await phone.play()

    collecting = asyncio.create_task(service.collect_until(ended))
    async with asyncio.TaskGroup() as group:
        for number, phone in enumerate(phones):
            group.create_task(play_one(number, phone))
    ended.set()
    await collecting


def fail_for_a_while(service: Service) -> None:
    """Let all parts fail from the next due message on."""
    due = min(message.visible_at for message in service.source.queue.messages)
    seconds = (max(0, due - service.clock()) / 1000) + OUTAGE_SECONDS
    service.storage.begin(seconds)
    service.topic.begin(seconds)
    service.simulator.go_down(FACE_OUTAGE_CALLS)


def events_by_session(events: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the one event of each session; its duplicates are identical."""
    told: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        told[event["subject"]].append(event)
    assert all(event == same[0] for same in told.values() for event in same)
    return {session_id: same[0] for session_id, same in told.items()}
