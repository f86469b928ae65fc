"""The log of the events of a local run."""

import asyncio

import pytest

from local.event_log import Event, EventLog
from shared.errors import EventsUnavailable
from tests.support.publisher import FakePublisher


def _event(session_id: str) -> Event:
    return {"subject": session_id}


async def test_event_is_passed_on_kept_and_followed() -> None:
    """The publisher below gets each event; a follower gets those that come later."""
    publisher, followed = FakePublisher(), list[Event]()
    log = EventLog(publisher)
    await log.publish(_event("a"))
    log.follow(followed.append)
    await log.publish(_event("b"))
    await log.aclose()

    assert publisher.events == log.latest() == [_event("a"), _event("b")]
    assert followed == [_event("b")]


async def test_event_that_was_not_published_is_not_kept() -> None:
    """A failure is raised: the collector tries again later."""
    publisher = FakePublisher()
    publisher.fail("publish", EventsUnavailable("full"))
    log = EventLog(publisher)
    with pytest.raises(EventsUnavailable):
        await log.publish(_event("a"))

    assert log.latest() == []


async def test_only_the_latest_events_are_kept() -> None:
    """The memory of a run that stays up for days does not grow."""
    log = EventLog(FakePublisher())
    for number in range(150):
        await log.publish(_event(str(number)))

    assert [kept["subject"] for kept in log.latest()] == [str(number) for number in range(50, 150)]


async def test_event_of_a_session_is_waited_for() -> None:
    """An event that is there is returned at once; otherwise the call waits for it."""
    log = EventLog(FakePublisher())
    waiting = asyncio.create_task(log.event_of("b"))
    await log.publish(_event("a"))
    assert await log.event_of("a") == _event("a")
    assert not waiting.done()

    await log.publish(_event("b"))
    assert await waiting == _event("b")
