"""What the collector does with a session in each state, and when Face, store, queue or topic fail."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from collect_result.delays import DEADLINE, OUTAGE_DEADLINE
from collect_result.use_case import MAX_FAILURES, collect_result
from create_session.use_case import CreateCommand, create_session
from shared.errors import (
    EventsUnavailable,
    KeyUnavailable,
    MessageGivenUp,
    StorageUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamUnauthorized,
)
from shared.events.cloud_event import COMPLETED, EXPIRED, event_of
from shared.face.budget import Budget
from shared.face.model import SessionResult, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import Step
from shared.storage.port import Table
from tests.collect_result.workshop import PHONE, REAL, SPOOF, STARTED, Workshop
from tests.shared.face.doubles import CREATED, NOT_STARTED, REQUEST_ID, SESSION, SPEC, ScriptedFace
from tests.support.app import app_of
from tests.support.intercepted import Call, Effect
from tests.support.time import in_virtual_time

HOUR = 3_600
DAY = 24 * HOUR
UNKNOWN = "b12e033e-bda7-4b83-a211-e721c661f30e"
TOO_LARGE = EventsUnavailable("Event Grid answered 413", lasting=True)
TOPIC_DOWN = EventsUnavailable("the topic is down", retry_after=40.0)

FACE_ERRORS = [
    UpstreamFailure("down"),
    UpstreamQuotaExceeded("used up", retry_after=DAY),
    KeyUnavailable("the vault is down", retry_after=1.0),
]


@pytest.fixture
def workshop() -> Workshop:
    """A collector with the default settings."""
    return Workshop()


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The collector's lines of the log."""
    return [json.loads(line.message) for line in caplog.records if line.name == "collect_result.use_case"]


async def test_result_is_recorded_published_and_deleted_upstream_in_this_order(workshop: Workshop) -> None:
    """One run takes a session to its end."""
    session_id = await workshop.created(REAL)

    await workshop.collect(session_id)

    [event] = workshop.publisher.events
    steps = [step for _, step in (await workshop.record(session_id)).history]
    assert steps == [Step.CREATED, Step.COMPLETED, Step.PUBLISHED, Step.DELETED_UPSTREAM]
    assert (event["type"], event["subject"], event["data"]["passed"]) == (COMPLETED, session_id, True)
    assert (workshop.face.deleted, workshop.waiting) == ([session_id], [])
    _, read, deleted = workshop.face.request_ids
    assert read == deleted, "a run has one request id"


@pytest.mark.parametrize(
    ("looks", "delay"),
    [(0, 30), (1, 120), (2, 600), (3, HOUR), (4, 4 * HOUR), (5, 12 * HOUR), (6, 12 * HOUR)],
)
async def test_open_session_is_looked_at_again_later_and_later(
    workshop: Workshop, caplog: pytest.LogCaptureFixture, looks: int, delay: float
) -> None:
    """While the token works nothing is decided. The log says that the session is taken care of."""
    caplog.set_level(logging.INFO)
    session_id = await workshop.created(lifetime=86_400)

    await workshop.collect(session_id, looks=looks, reason=Reason.POLL)

    assert workshop.waiting == [CollectMessage(session_id, Reason.POLL, looks=looks + 1)]
    assert (workshop.delays, workshop.published) == ([delay], [])
    assert await workshop.noted(session_id) == (delay, None, 0)
    [line] = logged(caplog)
    assert (line["event"], line["sessionId"]) == ("session_still_open", session_id)


@pytest.mark.parametrize(
    ("result", "age", "published"),
    [
        (SessionResult(SessionStatus.NOT_STARTED), 720, []),
        (SessionResult(SessionStatus.NOT_STARTED), 725, [EXPIRED]),
        (SessionResult(SessionStatus.EXPIRED), 720, []),
        (SessionResult(SessionStatus.EXPIRED), 721, [EXPIRED]),
        (None, 720, []),
        (None, 721, [EXPIRED]),
        (STARTED, DEADLINE - 1, []),
        (STARTED, DEADLINE, [EXPIRED]),
        (REAL, DEADLINE, [COMPLETED]),
    ],
)
async def test_session_expires_when_no_result_can_come(
    workshop: Workshop, result: SessionResult | None, age: float, published: list[str]
) -> None:
    """Two minutes after the token's end, or after 47 hours if a check was started. None is a session Face forgot."""
    session_id = await workshop.created(result)
    if result is None:
        workshop.face.forget(session_id)
    workshop.clock.advance_seconds(age)

    await workshop.collect(session_id)

    assert workshop.published == published
    assert workshop.face.deleted == ([session_id] if published else [])


async def test_started_session_without_an_end_expires_after_47_hours(workshop: Workshop) -> None:
    """It is looked at until shortly before Face forgets it."""
    session_id = await workshop.created(STARTED)
    created_at = workshop.clock()
    workshop.clock.advance_seconds(725)
    await workshop.collect(session_id)

    await workshop.run_queue()

    assert (workshop.published, workshop.clock()) == ([EXPIRED], created_at + DEADLINE * 1000)
    assert (workshop.face.calls["result"], workshop.face.deleted) == (10, [session_id])


@pytest.mark.parametrize("way", ["collect", "poll", "revoke"])
async def test_session_is_ended_in_the_api_version_that_made_it(workshop: Workshop, way: str) -> None:
    """The operator may change FACE_API_VERSION while a session is open."""
    session_id = await workshop.created(REAL)
    workshop.face.api_version = "v1.2"

    if way == "poll":
        assert (await workshop.poll(session_id)).record.final
    if way == "revoke":
        await workshop.revoke(session_id)
    await workshop.collect(session_id)

    versions = [event["data"]["faceApiVersion"] for event in workshop.publisher.events]
    assert versions == ["v1.1-preview.1"]
    assert workshop.face.deleted == [session_id]


@pytest.mark.parametrize(
    ("delete", "recorded", "revoked", "deleted"),
    [
        ("true", True, False, True),
        ("false", True, False, False),
        ("true", True, True, True),
        ("false", True, True, True),
        ("true", False, True, True),
        ("false", False, True, True),
    ],
)
async def test_session_has_its_event_and_is_deleted_as_configured(
    delete: str, recorded: bool, revoked: bool, deleted: bool
) -> None:
    """A revoked session is always deleted. Face is read before, unless the outcome was recorded."""
    workshop = Workshop(DELETE_AFTER_RESULT=delete)
    session_id = await workshop.created(REAL)
    now = workshop.clock()
    if recorded:
        await workshop.change(session_id, lambda record: record.with_result(REAL, now))
    if revoked:
        await workshop.change(session_id, lambda record: record.as_revoked(now))

    await workshop.collect(session_id)

    assert workshop.published == [COMPLETED]
    assert workshop.face.deleted == ([session_id] if deleted else [])
    assert (workshop.face.calls["result"], workshop.waiting) == (0 if recorded else 1, [])


@pytest.mark.parametrize("age", [0, 725, 47 * HOUR])
@pytest.mark.parametrize("result", [SessionResult(SessionStatus.NOT_STARTED), STARTED])
async def test_revoked_session_without_a_decided_attempt_is_only_deleted(
    workshop: Workshop, caplog: pytest.LogCaptureFixture, result: SessionResult, age: float
) -> None:
    """It has no event, not even an expired one. The log says so, for the alert on missing events."""
    caplog.set_level(logging.INFO)
    session_id = await workshop.created(result)
    await workshop.change(session_id, lambda record: record.as_revoked(workshop.clock()))
    workshop.clock.advance_seconds(age)

    await workshop.collect(session_id)

    assert (workshop.published, workshop.face.deleted, workshop.waiting) == ([], [session_id], [])
    [line] = logged(caplog)
    assert (line["event"], line["sessionId"]) == ("session_closed_without_event", session_id)


async def test_revoked_session_with_a_check_is_not_said_to_have_no_event(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """While the topic is down the alert on missing events may name it. Its event comes later."""
    caplog.set_level(logging.INFO)
    session_id = await workshop.created(SPOOF)
    await workshop.revoke(session_id)
    workshop.publisher.fail("publish", TOPIC_DOWN)

    for attempt in range(2):
        await workshop.collect(session_id, attempt)

    assert [line["event"] for line in logged(caplog)] == ["collect_failed", "event_published"]


async def test_unknown_session_is_logged_and_deleted_upstream(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """Its create was undone, or died, or its record was purged: the message does not come back."""
    message = CollectMessage(UNKNOWN, Reason.POLL, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")
    await collect_result(workshop.app, message)

    [request_id] = workshop.face.request_ids
    fields = {
        "sessionId": UNKNOWN,
        "messageId": message.message_id,
        "reason": "poll",
        "attempt": 0,
        "traceparent": message.traceparent,
    }
    assert logged(caplog) == [{"event": "collect_unknown_session", "requestId": request_id} | fields]
    assert (workshop.face.deleted, workshop.waiting) == ([UNKNOWN], [])


@pytest.mark.parametrize("error", FACE_ERRORS)
async def test_message_goes_back_when_face_fails(
    workshop: Workshop, error: UpstreamError | KeyUnavailable, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised, so that the host counts no failed delivery: the message itself counts."""
    session_id = await workshop.created(REAL)
    workshop.face.fail("result", error)

    await workshop.collect(session_id)
    waiting, delays = workshop.waiting, workshop.delays
    await workshop.run_queue()

    assert waiting == [CollectMessage(session_id, Reason.SWEEP, 1)]
    assert delays == [max(5.0, min(error.retry_after or 0.0, HOUR))]
    fields = {"sessionId": session_id, "reason": "sweep", "attempt": 0, "detail": error.detail}
    fields["messageId"] = CollectMessage(session_id, Reason.SWEEP).message_id
    fields |= {"error": type(error).__name__, "requestId": workshop.face.request_ids[1]}
    assert logged(caplog) == [{"event": "collect_failed"} | fields]
    assert workshop.published == [COMPLETED]


async def test_record_says_why_the_last_try_failed_until_one_succeeds(workshop: Workshop) -> None:
    """An operator sees it without the log. A record that cannot be written changes nothing else."""
    session_id = await workshop.created(REAL)
    workshop.publisher.fail("publish", TOPIC_DOWN, TOPIC_DOWN)

    await workshop.collect(session_id)
    assert await workshop.noted(session_id) == (40, "EventsUnavailable: the topic is down", 1)
    workshop.store.fail("replace", StorageUnavailable("the table is down"))
    await workshop.collect(session_id, 1)
    assert await workshop.noted(session_id) == (40, "EventsUnavailable: the topic is down", 1)
    assert workshop.delays == [40, 40]
    await workshop.collect(session_id, 2)

    assert await workshop.noted(session_id) == (None, None, 0)


async def test_store_that_fails_near_the_deadline_is_tried_in_time(workshop: Workshop) -> None:
    """A result that could not be written is read again before Face forgets it."""
    session_id = await workshop.created(REAL)
    workshop.clock.advance_seconds(DEADLINE - 600)
    workshop.store.fail("replace", StorageUnavailable("the store is down"))

    await workshop.collect(session_id, 5)

    assert workshop.delays == [600]


@pytest.mark.parametrize("error", FACE_ERRORS)
@pytest.mark.parametrize(("failures", "published"), [(8, COMPLETED), (100, EXPIRED)])
async def test_outage_at_the_deadline_is_waited_for_while_face_keeps_the_result(
    workshop: Workshop, error: UpstreamError | KeyUnavailable, failures: int, published: str
) -> None:
    """The event is published in time, even where Face cannot be asked at all."""
    session_id = await workshop.created(REAL)
    last_look = workshop.clock() + OUTAGE_DEADLINE * 1000
    workshop.clock.advance_seconds(DEADLINE)
    workshop.face.fail("result", *[error] * failures)

    await workshop.collect(session_id, 5)
    await workshop.run_queue()

    assert workshop.published == [published]
    assert (workshop.clock() == last_look) is (published == EXPIRED)


async def test_failures_count_in_a_row_and_apart_from_looks(workshop: Workshop) -> None:
    """After a success the next look is as soon as after no failure."""
    session_id = await workshop.created(lifetime=86_400)
    workshop.face.fail("result", *[UpstreamFailure("down")] * 4)

    await workshop.collect(session_id)
    for _ in range(4):
        await collect_result(workshop.app, workshop.waiting[-1])

    assert (workshop.waiting[-1].attempt, workshop.waiting[-1].looks, workshop.delays[-1]) == (0, 1, 30)


async def test_session_is_kept_upstream_until_its_event_is_published(workshop: Workshop) -> None:
    """An outage of the topic is waited for, however long. The result is not deleted or read again meanwhile."""
    session_id = await workshop.created(REAL)
    workshop.publisher.fail("publish", *[TOPIC_DOWN] * 5 * MAX_FAILURES)

    await workshop.collect(session_id)
    deleted, delays = list(workshop.face.deleted), workshop.delays
    await workshop.run_queue()

    assert (deleted, delays) == ([], [40.0])
    assert (workshop.published, workshop.face.calls["result"]) == ([COMPLETED], 1)


async def test_recorded_outcome_has_no_deadline(workshop: Workshop) -> None:
    """Only a result that is still to be read cuts the delay short that the topic asks for."""
    session_id = await workshop.created(REAL)
    workshop.clock.advance_seconds(DEADLINE)
    workshop.publisher.fail("publish", *[EventsUnavailable("the topic is down", retry_after=400.0)] * 2)

    await workshop.collect(session_id)
    await collect_result(workshop.app, workshop.waiting[-1])

    assert workshop.delays == [400.0, 400.0]


@pytest.mark.parametrize(("age", "tries"), [(48 * HOUR - 1, 1), (48 * HOUR, 0)])
async def test_deletion_ends_when_face_forgets(workshop: Workshop, age: float, tries: int) -> None:
    """A Face resource that is gone leaves no message behind after 48 hours."""
    session_id = await workshop.created(REAL)
    await workshop.poll(session_id)
    workshop.clock.advance_seconds(age)
    workshop.messages.clear()
    workshop.face.fail("delete", UpstreamUnauthorized("no such resource"))

    await workshop.collect(session_id)

    assert (workshop.face.calls["delete"], len(workshop.waiting)) == (tries, tries)
    assert workshop.published == [COMPLETED]


async def test_failed_check_is_not_charged_again_after_its_event(workshop: Workshop) -> None:
    """An operator may have cleared the limits of its device since."""
    session_id = await workshop.created(SPOOF)
    await workshop.collect(session_id)
    row, _ = (await workshop.record(session_id)).limit_rows
    await workshop.store.delete(Table.THROTTLE, row)

    await workshop.poll(session_id)

    assert await workshop.store.get(Table.THROTTLE, row) is None


async def test_digest_that_comes_while_the_event_is_published_changes_nothing(workshop: Workshop) -> None:
    """The event says already how the digests compare; record and answers have to say the same."""
    session_id = await workshop.created(REAL)

    async def around(_: Call, effect: Effect) -> object:
        await workshop.poll(session_id, "0" * 64)
        return await effect()

    workshop.publisher.around = around
    await workshop.collect(session_id)

    [event] = workshop.publisher.events
    assert event == event_of(await workshop.record(session_id))
    assert (event["data"]["passed"], event["data"]["digestMatches"]) == (True, None)


async def test_event_that_is_always_refused_goes_to_the_operator(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """After a dozen lasting failures in a row the run raises. The error only names the log line."""
    session_id = await workshop.created(REAL)
    workshop.publisher.fail("publish", *[TOO_LARGE] * MAX_FAILURES)

    await workshop.collect(session_id)
    with pytest.raises(MessageGivenUp) as given_up:
        await workshop.run_queue()

    lines = logged(caplog)
    assert [line["event"] for line in lines] == ["collect_failed"] * (MAX_FAILURES - 1) + ["message_given_up"]
    assert (lines[-1]["sessionId"], lines[-1]["detail"]) == (session_id, TOO_LARGE.detail)
    assert caplog.records[-1].levelname == "ERROR"
    assert (given_up.value.__context__, given_up.value.__cause__) == (None, None)
    assert session_id not in str(given_up.value)
    assert len(workshop.waiting) == 1, "the host removes it"
    assert await workshop.noted(session_id) == (None, f"EventsUnavailable: {TOO_LARGE.detail}", MAX_FAILURES)


async def test_forged_record_goes_to_the_operator(workshop: Workshop) -> None:
    """A row that somebody edited does not mend itself, and is not published."""
    session_id = await workshop.created(REAL)
    entity = await workshop.store.get(Table.SESSIONS, session_id)
    assert entity
    await workshop.store.replace(
        Table.SESSIONS, replace(entity, values={**entity.values, "status": "Expired"})
    )

    await workshop.collect(session_id, MAX_FAILURES - 2)
    with pytest.raises(MessageGivenUp):
        await workshop.collect(session_id, MAX_FAILURES - 1)

    assert (len(workshop.waiting), workshop.published) == (1, [])


async def test_log_tells_the_outcome_and_how_long_its_event_took(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """Alerts and the workbook count these fields; a result that is read again is not logged again."""
    caplog.set_level(logging.INFO)
    session_id = await workshop.created(SPOOF)
    stored = await workshop.app.checks.read(await workshop.app.sessions.reload(session_id), "a-request")
    await workshop.app.checks.read(stored, "another-request")
    workshop.clock.advance_seconds(7)

    await workshop.collect(session_id)

    lines = [json.loads(record.getMessage()) for record in caplog.records]
    created, *ended, published = lines
    assert ended == [
        {
            "event": "session_ended",
            "sessionId": session_id,
            "requestId": "a-request",
            "device": created["device"],
            "caller": created["caller"],
            "decision": "spoofface",
            "attempts": 1,
            "failedAttempts": 1,
        }
    ]
    outcome = {name: published.get(name) for name in ("passed", "decision", "digestMatches", "milliseconds")}
    assert outcome == {"passed": False, "decision": "spoofface", "digestMatches": None, "milliseconds": 7000}


async def test_event_waits_for_a_digest_that_is_required(caplog: pytest.LogCaptureFixture) -> None:
    """Until the phone cannot send one any more. The log says so, for the alert on late events."""
    caplog.set_level(logging.INFO)
    workshop = Workshop(REQUIRE_DIGEST="true")
    session_id = await workshop.created(REAL)

    await workshop.collect(session_id)

    ended, still_open = [json.loads(record.getMessage()) for record in caplog.records[-2:]]
    assert (ended["event"], ended["awaitsDigest"]) == ("session_ended", True)
    assert (still_open["event"], workshop.published) == ("session_still_open", [])
    workshop.clock.advance_seconds(721)
    await workshop.collect(session_id)
    assert [event["data"]["passed"] for event in workshop.publisher.events] == [False]


@in_virtual_time
async def test_revoked_session_is_deleted_at_face_at_a_low_rate() -> None:
    """The collector reads and deletes in one run: there is room for the read, and the deletion belongs to it."""
    now = asyncio.get_running_loop().time
    face = ScriptedFace((200, CREATED), (200, NOT_STARTED), (200, b""))
    app = app_of(face=face.client(budget=Budget(0.1, monotonic=now)))
    await create_session(app, CreateCommand(SPEC, "a-device", None, PHONE, None, "", REQUEST_ID))
    stored = await app.sessions.reload(SESSION)
    await app.sessions.change(stored, lambda record: record.as_revoked(app.clock()))

    await asyncio.sleep(60)
    await collect_result(app, CollectMessage(SESSION, Reason.SWEEP))

    assert [request.method for request in face.requests] == ["POST", "GET", "DELETE"]
