"""Listening in on events, and the demonstration that waits for one."""

import asyncio

import httpx
import pytest

from local.demonstration import demonstrate
from local.event_log import Event, EventLog
from shared.errors import EventsUnavailable
from shared.events.publisher import MemoryPublisher
from tests.support.broker import running_broker


def event(session_id: str) -> Event:
    return {"subject": session_id}


class Refusing(MemoryPublisher):
    """Takes nothing."""

    async def publish(self, event: Event) -> None:
        raise EventsUnavailable("full")


async def test_event_is_handed_on_kept_and_told() -> None:
    """Who gets events gets each one; so does who follows, from then on."""
    inner, told = MemoryPublisher(), list[Event]()
    log = EventLog(inner)
    await log.publish(event("a"))
    log.follow(told.append)
    await log.publish(event("b"))
    await log.aclose()

    assert inner.events == log.latest() == [event("a"), event("b")]
    assert told == [event("b")]


async def test_event_that_was_not_taken_is_told_to_nobody() -> None:
    """What fails is tried again by the collector: it has not happened yet."""
    log = EventLog(Refusing())
    with pytest.raises(EventsUnavailable):
        await log.publish(event("a"))

    assert log.latest() == []


async def test_only_the_latest_events_are_kept() -> None:
    """A run that stays up for days does not grow."""
    log = EventLog(MemoryPublisher())
    for number in range(150):
        await log.publish(event(str(number)))

    assert [kept["subject"] for kept in log.latest()] == [str(number) for number in range(50, 150)]


async def test_event_of_a_session_is_waited_for() -> None:
    """It comes at once where it is there, and otherwise when it comes."""
    log = EventLog(MemoryPublisher())
    waiting = asyncio.create_task(log.event_of("b"))
    await log.publish(event("a"))
    assert await log.event_of("a") == event("a")
    assert not waiting.done()

    await log.publish(event("b"))
    assert await waiting == event("b")


async def test_demonstration_without_its_event_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A check whose event does not come is not a check that went well."""
    async with running_broker() as broker:
        went_well = await demonstrate(
            str(broker.http.base_url), str(broker.phone.base_url), EventLog(MemoryPublisher()), patience=0
        )

    assert not went_well
    assert "none came within 0 seconds" in capsys.readouterr().out


async def test_demonstration_tells_what_was_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of the broker is shown as it is."""
    async with running_broker(THROTTLE_DEVICE="1/d") as broker:
        await broker.create("demonstration-device")
        went_well = await demonstrate(
            str(broker.http.base_url), str(broker.phone.base_url), EventLog(MemoryPublisher())
        )

    assert not went_well
    assert f"HTTP {httpx.codes.TOO_MANY_REQUESTS}" in capsys.readouterr().out
