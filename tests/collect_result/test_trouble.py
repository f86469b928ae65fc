"""What the collector does when Face, the store, the queue or the topic fails."""

import json
import logging
from dataclasses import replace

import pytest

from collect_result.delays import DEADLINE, OUTAGE_DEADLINE
from collect_result.use_case import MAX_FAILURES, collect_result
from shared.errors import (
    EventsUnavailable,
    KeyUnavailable,
    MessageGivenUp,
    StorageUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from shared.events.cloud_event import COMPLETED, EXPIRED
from shared.queues.message import CollectMessage, Reason
from shared.storage.port import Table
from tests.collect_result.workshop import REAL, STARTED, Workshop

HOUR = 3_600
DAY = 24 * HOUR

FAILURES = [
    pytest.param(UpstreamFailure("down"), id="failure"),
    pytest.param(UpstreamTimeout("slow"), id="timeout"),
    pytest.param(UpstreamUnauthorized("wrong key"), id="unauthorized"),
    pytest.param(UpstreamThrottled("busy", retry_after=26.0), id="throttled"),
    pytest.param(UpstreamQuotaExceeded("used up", retry_after=DAY), id="quota"),
    pytest.param(KeyUnavailable("the vault is down", retry_after=1.0), id="key"),
]


@pytest.mark.parametrize("error", FAILURES)
async def test_face_fails_message_goes_back(
    workshop: Workshop, error: UpstreamError | KeyUnavailable, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised, so that no dequeue is used up: the message is sent again, and says how often."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.face.fail("result", error)

    with caplog.at_level(logging.WARNING):
        await workshop.collect(session_id)
    [waiting] = workshop.waiting()
    await workshop.run_queue()

    assert waiting.message == CollectMessage(session_id, Reason.SWEEP, 1)
    assert waiting.seconds == max(5.0, error.retry_after or 0.0)
    assert json.loads(caplog.records[0].message) == {
        "event": "collect_failed",
        "sessionId": session_id,
        "reason": "sweep",
        "attempt": 0,
        "requestId": workshop.face.request_ids[1],
        "error": type(error).__name__,
        "detail": error.detail,
    }
    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]


@pytest.mark.parametrize(
    ("attempt", "delay"), [(0, 5), (1, 15), (2, 60), (3, 300), (4, 900), (5, HOUR), (6, HOUR)]
)
async def test_trouble_that_lasts_is_met_later_and_later(
    workshop: Workshop, attempt: int, delay: float
) -> None:
    """Each try waits for longer than the one before."""
    session_id = await workshop.created()
    workshop.face.fail("result", UpstreamFailure("down"))

    await workshop.collect(session_id, attempt)

    assert [waiting.seconds for waiting in workshop.waiting()] == [delay]


@pytest.mark.parametrize(
    ("age", "attempt", "retry_after", "delay"),
    [
        pytest.param(30 * HOUR, 0, DAY, 17 * HOUR, id="what Face asks for ends at the deadline"),
        pytest.param(DEADLINE - 600, 5, 0, 600, id="what has failed often as well"),
        pytest.param(DEADLINE, 0, 0, 5, id="then it is tried again"),
        pytest.param(DEADLINE + 60, 5, DAY, 300, id="every five minutes at least"),
        pytest.param(OUTAGE_DEADLINE - 40, 5, DAY, 40, id="until it is given up"),
    ],
)
async def test_trouble_near_the_deadline_the_last_looks_still_come(
    workshop: Workshop, age: float, attempt: int, retry_after: float, delay: float
) -> None:
    """No wait, whoever asks for it, carries the message past the hour in which Face still knows."""
    session_id = await workshop.created()
    workshop.clock.advance_seconds(age)
    workshop.face.answer(session_id, REAL)
    workshop.face.fail("result", UpstreamQuotaExceeded("used up", retry_after=retry_after))

    await workshop.collect(session_id, attempt)

    assert [waiting.seconds for waiting in workshop.waiting()] == [delay]
    assert workshop.publisher.events == []


async def test_store_fails_near_the_deadline_the_last_looks_still_come(workshop: Workshop) -> None:
    """A result that could not be written is read again in time."""
    session_id = await workshop.created()
    workshop.clock.advance_seconds(DEADLINE - 600)
    workshop.face.answer(session_id, REAL)
    workshop.store.calls_left = 1

    await workshop.collect(session_id, 5)

    assert [waiting.seconds for waiting in workshop.waiting()] == [600]


async def test_face_fails_for_a_while_at_the_deadline_result_is_not_lost(workshop: Workshop) -> None:
    """What is there is found by a later look, as long as Face knows the session."""
    session_id = await workshop.created()
    created_at = workshop.clock()
    workshop.clock.advance_seconds(DEADLINE)
    workshop.face.answer(session_id, REAL)
    workshop.face.fail("result", *[UpstreamFailure("down")] * 8)

    await workshop.collect(session_id, 5)
    await workshop.run_queue()

    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]
    assert workshop.clock() < created_at + OUTAGE_DEADLINE * 1000


@pytest.mark.parametrize("error", FAILURES)
async def test_face_fails_until_it_is_too_late_session_expires(
    workshop: Workshop, error: UpstreamError | KeyUnavailable
) -> None:
    """The business hears of the session in time, even where Face cannot be asked at all."""
    session_id = await workshop.created()
    created_at = workshop.clock()
    workshop.clock.advance_seconds(DEADLINE - HOUR)
    workshop.face.fail("result", *[error] * 100)

    await workshop.collect(session_id, 5)
    await workshop.run_queue()

    assert [event["type"] for event in workshop.publisher.events] == [EXPIRED]
    assert workshop.clock() == created_at + OUTAGE_DEADLINE * 1000


async def test_trouble_that_is_over_does_not_make_the_next_look_later(workshop: Workshop) -> None:
    """Failures and looks that found nothing are counted apart, and failures only in a row."""
    session_id = await workshop.created(lifetime=86_400)
    workshop.face.fail("result", *[UpstreamFailure("down")] * 4)

    await workshop.collect(session_id)
    for _ in range(4):
        workshop.queue.messages, [message] = [], workshop.queue.messages
        await collect_result(workshop.app, CollectMessage.from_text(message.text))

    [waiting] = workshop.waiting()
    assert (waiting.message.attempt, waiting.message.looks, waiting.seconds) == (0, 1, 30)


@pytest.mark.parametrize("calls", range(6))
async def test_store_fails_at_any_call_session_still_ends_with_one_content(
    workshop: Workshop, calls: int
) -> None:
    """Wherever the store goes down, the message goes back, and the next run goes on from the record."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.store.calls_left = calls

    await workshop.collect(session_id)
    workshop.store.calls_left = None
    await workshop.run_queue()

    assert workshop.publisher.events
    assert all(event == workshop.publisher.events[0] for event in workshop.publisher.events)
    assert workshop.face.deleted


async def test_store_and_queue_are_down_host_delivers_again(workshop: Workshop) -> None:
    """Only where the message cannot be put back either is the failure handed to the host."""
    session_id = await workshop.created()
    workshop.store.calls_left = 0
    workshop.queue.down = True

    with pytest.raises(StorageUnavailable):
        await workshop.collect(session_id)


async def test_queue_is_down_nothing_to_put_back_nothing_raised(workshop: Workshop) -> None:
    """A session that ends in this run needs no queue."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.queue.down = True

    await workshop.collect(session_id)

    assert len(workshop.publisher.events) == 1


async def test_topic_is_down_session_is_kept_upstream_until_its_event_is_taken(workshop: Workshop) -> None:
    """The result is recorded, nothing is deleted, and the event comes as soon as it can."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.publisher.failures.append(EventsUnavailable("the topic is down", retry_after=40.0))

    await workshop.collect(session_id)
    deleted_early = list(workshop.face.deleted)
    [waiting] = workshop.waiting()
    await workshop.run_queue()

    assert (waiting.message.attempt, waiting.seconds, deleted_early) == (1, 40.0, [])
    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]
    assert (workshop.face.calls["result"], workshop.face.deleted) == (1, [session_id])


async def test_deletion_fails_event_is_not_published_again(workshop: Workshop) -> None:
    """What comes back is only there to delete."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.face.fail("delete", UpstreamFailure("down"))

    await workshop.collect(session_id)
    [waiting] = workshop.waiting()
    await workshop.run_queue()

    assert waiting.message.attempt == 1
    assert len(workshop.publisher.events) == 1
    assert (workshop.face.calls["result"], workshop.face.deleted) == (1, [session_id])


async def test_revoked_session_cannot_be_deleted_it_is_tried_again(workshop: Workshop) -> None:
    """A session that its phone called off does not stay at Face."""
    session_id = await workshop.created()
    await workshop.change(session_id, lambda record: record.as_revoked(workshop.clock()))
    workshop.face.fail("delete", UpstreamTimeout("slow"), UpstreamThrottled("busy", retry_after=26.0))

    await workshop.collect(session_id)
    await workshop.run_queue()

    assert workshop.face.deleted == [session_id]
    assert workshop.publisher.events == []


async def test_deletion_fails_until_face_forgets_message_ends(workshop: Workshop) -> None:
    """After 48 hours there is nothing left to delete: a Face resource that is gone leaves no message behind."""
    session_id = await workshop.created()
    created_at = workshop.clock()
    workshop.face.answer(session_id, REAL)
    workshop.face.fail("delete", *[UpstreamUnauthorized("no such resource")] * 100)

    await workshop.collect(session_id)
    await workshop.run_queue()

    assert created_at + 48 * HOUR * 1000 <= workshop.clock() < created_at + 49 * HOUR * 1000
    assert len(workshop.publisher.events) == 1
    assert workshop.face.deleted == []


async def test_record_is_purged_during_a_run_message_ends(workshop: Workshop) -> None:
    """A session whose record went is let go, not looked for over and over."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    stored = await workshop.stored(session_id)
    workshop.publisher.failures.append(EventsUnavailable("the topic is down"))
    await workshop.collect(session_id)
    await workshop.app.sessions.remove(stored.record.session_id)

    await workshop.run_queue()

    assert workshop.waiting() == []


BIG = EventsUnavailable("Event Grid answered 413", lasting=True)


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    """The lines of the log with an event of this name."""
    return [line for line in caplog.records if json.loads(line.message)["event"] == event]


async def test_event_that_is_never_taken_is_given_up_in_the_end(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """After a dozen failures in a row the message is the operator's: it raises, and tells nothing but where to look."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.publisher.failures.extend([BIG] * MAX_FAILURES)

    await workshop.collect(session_id)
    with pytest.raises(MessageGivenUp) as given_up:
        await workshop.run_queue()

    [line] = lines(caplog, "message_given_up")
    assert len(lines(caplog, "collect_failed")) == MAX_FAILURES - 1
    assert (line.levelname, json.loads(line.message)["sessionId"]) == ("ERROR", session_id)
    assert json.loads(line.message)["detail"] == BIG.detail
    assert (given_up.value.__context__, given_up.value.__cause__) == (None, None)
    assert session_id not in str(given_up.value)
    assert len(workshop.waiting()) == 1, "it is the host that removes it"


async def test_record_that_cannot_be_read_is_given_up_in_the_end(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that somebody broke does not mend itself."""
    session_id = await workshop.created()
    entity = await workshop.store.get(Table.SESSIONS, session_id)
    assert entity
    await workshop.store.replace(Table.SESSIONS, replace(entity, values={**entity.values, "status": "?"}))

    await workshop.collect(session_id, MAX_FAILURES - 2)
    with pytest.raises(MessageGivenUp):
        await workshop.collect(session_id, MAX_FAILURES - 1)

    assert len(workshop.waiting()) == 1
    assert (
        json.loads(lines(caplog, "message_given_up")[0].message)["detail"]
        == "a session record cannot be read"
    )


async def test_outage_is_never_given_up(workshop: Workshop) -> None:
    """What may work tomorrow is tried tomorrow."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.publisher.failures.extend([EventsUnavailable("the topic is down")] * 5 * MAX_FAILURES)

    await workshop.collect(session_id)
    await workshop.run_queue()

    assert len(workshop.publisher.events) == 1


async def test_check_that_goes_on_is_told_as_seen_to(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert on sessions without an event leaves out those that are looked at again."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, STARTED)
    workshop.clock.advance_seconds(HOUR)

    with caplog.at_level(logging.INFO):
        await workshop.collect(session_id)

    told = [json.loads(record.getMessage()) for record in caplog.records if record.name.startswith("collect")]
    assert [(line["event"], line["sessionId"]) for line in told] == [("session_still_open", session_id)]
    assert len(workshop.waiting()) == 1
