"""The log of the events of a local run."""

import asyncio

import pytest

from local.event_log import Event, EventLog
from shared.errors import EventsUnavailable
from tests.support.publisher import FakePublisher


def _event(session_id: object) -> Event:
    return {"subject": str(session_id)}


async def test_event_is_passed_on_kept_and_followed() -> None:
    """The publisher below gets each event; the follower gets those that come later; only the latest 100 are kept."""
    publisher, followed = FakePublisher(), list[Event]()
    log = EventLog(publisher)
    events = [_event(number) for number in range(150)]
    await log.publish(events[0])
    log.follower = followed.append
    for event in events[1:]:
        await log.publish(event)
    await log.aclose()

    assert (publisher.events, followed) == (events, events[1:])
    assert list(log.latest) == events[50:]


async def test_event_that_was_not_published_is_not_kept() -> None:
    """A failure is raised: the collector tries again later."""
    publisher = FakePublisher()
    publisher.fail("publish", EventsUnavailable("full"))
    log = EventLog(publisher)
    with pytest.raises(EventsUnavailable):
        await log.publish(_event("a"))

    assert not log.latest


async def test_event_of_a_session_is_waited_for() -> None:
    """An event that is there is returned at once; otherwise the call waits for it."""
    log = EventLog(FakePublisher())
    waiting = asyncio.create_task(log.event_of("b"))
    await log.publish(_event("a"))
    assert await log.event_of("a") == _event("a")
    assert not waiting.done()

    await log.publish(_event("b"))
    assert await waiting == _event("b")
