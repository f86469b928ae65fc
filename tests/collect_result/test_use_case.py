"""What the collector does with a session, wherever that stands."""

import json
import logging

import pytest

from collect_result.delays import DEADLINE
from collect_result.use_case import collect_result
from get_result.use_case import ResultQuery, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.events.cloud_event import COMPLETED, EXPIRED
from shared.face.model import SessionResult, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import Step
from tests.collect_result.workshop import MASKED, REAL, STARTED, Workshop

HOUR = 3_600


async def test_result_that_is_there_is_recorded_published_and_deleted_upstream(workshop: Workshop) -> None:
    """One run takes a session to its end, in the order in which nothing can be lost."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)

    await workshop.collect(session_id)

    [event] = workshop.publisher.events
    record = await workshop.record(session_id)
    steps = [step for _, step in record.history]
    assert steps == [Step.CREATED, Step.COMPLETED, Step.PUBLISHED, Step.DELETED_UPSTREAM]
    assert (event["type"], event["subject"], event["data"]["passed"]) == (COMPLETED, session_id, True)
    assert workshop.face.deleted == [session_id]
    assert workshop.waiting() == []


async def test_run_has_one_request_id_for_all_that_it_does(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lines of the log and its calls of Face are found together, and with the request that began it."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    message = CollectMessage(session_id, Reason.POLL, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00")

    with caplog.at_level(logging.INFO):
        await collect_result(workshop.app, message)
        await collect_result(
            workshop.app, CollectMessage("b12e033e-bda7-4b83-a211-e721c661f30e", Reason.POLL)
        )

    [published, unknown] = [json.loads(line.message) for line in caplog.records if "collect_r" in line.name]
    _, read, deleted, other = workshop.face.request_ids
    assert read == deleted == published["requestId"] != other == unknown["requestId"]
    assert (published["reason"], published["traceparent"]) == ("poll", message.traceparent)


async def test_result_that_a_poll_recorded_is_not_read_again(workshop: Workshop) -> None:
    """The record knows it: the collector only publishes and deletes."""
    session_id = await workshop.created()
    await workshop.change(session_id, lambda record: record.with_result(REAL, workshop.clock()))

    await workshop.collect(session_id, reason=Reason.POLL)

    assert len(workshop.publisher.events) == 1
    assert workshop.face.calls == {"create": 1, "delete": 1}


async def test_message_of_a_session_that_has_ended_does_nothing(workshop: Workshop) -> None:
    """A message that is delivered again, or comes late, costs one look at the record."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    await workshop.collect(session_id)
    before = workshop.face.calls.copy()

    for _ in range(3):
        await workshop.collect(session_id)

    assert (len(workshop.publisher.events), workshop.face.calls) == (1, before)


@pytest.mark.parametrize(
    ("looks", "delay"),
    [(0, 30), (1, 120), (2, 600), (3, HOUR), (4, 4 * HOUR), (5, 12 * HOUR), (6, 12 * HOUR)],
)
async def test_result_that_is_not_there_is_looked_for_later_and_later(
    workshop: Workshop, looks: int, delay: float
) -> None:
    """While the token works nothing is over: the message goes back, each time for longer."""
    session_id = await workshop.created(lifetime=86_400)

    await workshop.collect(session_id, looks=looks)

    [waiting] = workshop.waiting()
    assert waiting.message == CollectMessage(session_id, Reason.SWEEP, looks=looks + 1)
    assert waiting.seconds == delay
    assert workshop.publisher.events == []


async def test_session_that_nobody_started_expires_when_the_sweep_comes(workshop: Workshop) -> None:
    """Two minutes after the token's end nobody can begin any more."""
    session_id = await workshop.created(lifetime=60)
    workshop.clock.advance_seconds(60 + 125)

    await workshop.collect(session_id)

    [event] = workshop.publisher.events
    assert (event["type"], event["data"]["passed"], event["data"]["attempts"]) == (EXPIRED, False, 0)
    assert workshop.face.deleted == [session_id]


async def test_session_that_was_started_and_never_ends_expires_after_47_hours(workshop: Workshop) -> None:
    """Where Face does not say that it has expired, it is looked for until shortly before Face forgets it."""
    session_id = await workshop.created()
    created_at = workshop.clock()
    workshop.face.answer(session_id, STARTED)
    workshop.clock.advance_seconds(725)
    await workshop.collect(session_id)

    await workshop.run_queue()

    [event] = workshop.publisher.events
    assert (event["type"], workshop.clock()) == (EXPIRED, created_at + DEADLINE * 1000)
    assert workshop.face.calls["result"] == 10
    assert workshop.face.deleted == [session_id]


async def test_result_that_comes_late_still_completes(workshop: Workshop) -> None:
    """A session that was started is not given up before its deadline."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, STARTED)
    workshop.clock.advance_seconds(725)
    await workshop.collect(session_id)
    workshop.face.answer(session_id, REAL)

    await workshop.run_queue()

    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]


async def test_result_that_is_there_at_the_deadline_completes(workshop: Workshop) -> None:
    """The last look comes before the verdict that there is no result."""
    session_id = await workshop.created()
    workshop.clock.advance_seconds(DEADLINE)
    workshop.face.answer(session_id, REAL)

    await workshop.collect(session_id, 9)

    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]


async def test_session_that_face_calls_expired_waits_for_the_grace(workshop: Workshop) -> None:
    """A token that has just ended may belong to a check that is under way; a little later it does not."""
    session_id = await workshop.created(lifetime=60)
    workshop.face.answer(session_id, SessionResult(SessionStatus.EXPIRED))
    workshop.clock.advance_seconds(61)

    await workshop.collect(session_id)
    early = list(workshop.publisher.events)
    await workshop.run_queue()

    assert early == []
    assert [event["type"] for event in workshop.publisher.events] == [EXPIRED]


async def test_session_gone_upstream_expires_once_its_token_has_ended(workshop: Workshop) -> None:
    """What Face has forgotten brings no result any more."""
    session_id = await workshop.created()
    workshop.face.forget(session_id)
    workshop.clock.advance_seconds(600 + 121)

    await workshop.collect(session_id)

    assert [event["type"] for event in workshop.publisher.events] == [EXPIRED]


async def test_session_that_face_does_not_know_too_early_is_looked_for_again(workshop: Workshop) -> None:
    """While its token works Face has to know it: whatever does not, a check is not ended by that."""
    session_id = await workshop.created()
    workshop.face.forget(session_id)
    workshop.clock.advance_seconds(600 + 120)

    await workshop.collect(session_id)
    workshop.face.answer(session_id, REAL)
    await workshop.run_queue()

    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]


async def test_event_names_the_region_that_made_the_session(workshop: Workshop) -> None:
    """One source and one id, whatever the region is called by the time of the event."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)

    await collect_result(workshop.renamed("elsewhere"), CollectMessage(session_id, Reason.SWEEP))

    [event] = workshop.publisher.events
    assert (event["source"], event["data"]["region"]) == ("/face-liveness-broker/westeurope", "westeurope")


@pytest.mark.parametrize("polled", [False, True])
async def test_session_is_read_and_deleted_in_the_version_that_it_was_made_with(
    workshop: Workshop, polled: bool
) -> None:
    """The operator may change FACE_API_VERSION while sessions are on their way."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    workshop.face.api_version = "v1.2"

    if polled:
        query = ResultQuery(session_id, "auth-token-1", Caller(principal="somebody"), "a-request")
        assert (await get_result(workshop.app, query)).record.final
    await workshop.collect(session_id)

    assert [event["data"]["faceApiVersion"] for event in workshop.publisher.events] == ["v1.1-preview.1"]
    assert workshop.face.deleted == [session_id]


async def test_session_is_revoked_in_the_version_that_it_was_made_with(workshop: Workshop) -> None:
    """Its token stops working, whatever version is spoken by now."""
    session_id = await workshop.created()
    workshop.face.api_version = "v1.2"

    await revoke_session(workshop.app, session_id, "auth-token-1", Caller(principal="somebody"), "a-request")

    assert workshop.face.deleted == [session_id]


async def test_failed_attempt_completes_without_a_decision(workshop: Workshop) -> None:
    """A result that is a failure says why, and has not passed."""
    session_id = await workshop.created()
    workshop.face.answer(session_id, MASKED)

    await workshop.collect(session_id)

    data = workshop.publisher.events[0]["data"]
    assert (data["passed"], data["livenessDecision"]) == (False, None)
    assert data["failure"] == {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}


async def test_operator_keeps_sessions_at_face_they_are_not_deleted() -> None:
    """With DELETE_AFTER_RESULT=false the session stays until Face forgets it."""
    workshop = Workshop({"DELETE_AFTER_RESULT": "false"})
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)

    await workshop.collect(session_id)

    assert len(workshop.publisher.events) == 1
    assert (workshop.face.deleted, workshop.waiting()) == ([], [])


@pytest.mark.parametrize("delete", ["true", "false"])
async def test_session_revoked_before_its_result_ends_without_event(delete: str) -> None:
    """A phone that called it off is no news; Face is told to forget it, whatever the operator keeps."""
    workshop = Workshop({"DELETE_AFTER_RESULT": delete})
    session_id = await workshop.created()
    workshop.face.answer(session_id, REAL)
    await workshop.change(session_id, lambda record: record.as_revoked(workshop.clock()))

    await workshop.collect(session_id)

    assert workshop.publisher.events == []
    assert workshop.face.deleted == [session_id]
    assert (workshop.face.calls["result"], workshop.waiting()) == (0, [])


async def test_session_revoked_after_its_result_has_its_event(workshop: Workshop) -> None:
    """What is recorded is told, although nobody reads it at the broker any more."""
    session_id = await workshop.created()
    await workshop.change(
        session_id,
        lambda record: record.with_result(REAL, workshop.clock()).as_revoked(workshop.clock()),
    )

    await workshop.collect(session_id)

    assert [event["type"] for event in workshop.publisher.events] == [COMPLETED]
    assert workshop.face.deleted == [session_id]


async def test_unknown_session_is_logged_and_let_go(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    """Its create was undone, or died: it is deleted upstream, and the message does not come back."""
    with caplog.at_level(logging.WARNING):
        await workshop.collect("b12e033e-bda7-4b83-a211-e721c661f30e")

    assert workshop.waiting() == []
    assert [json.loads(record.message) for record in caplog.records] == [
        {
            "event": "collect_unknown_session",
            "sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e",
            "reason": "sweep",
            "attempt": 0,
            "requestId": workshop.face.request_ids[0],
        }
    ]
    assert workshop.face.deleted == ["b12e033e-bda7-4b83-a211-e721c661f30e"]


@pytest.mark.parametrize("reason", Reason)
async def test_session_that_is_only_not_deleted_yet_is_deleted_and_no_more(
    workshop: Workshop, reason: Reason
) -> None:
    """Whoever asks for it, what is done is not done again: a replay goes on where the message failed."""
    session_id = await workshop.created()
    await workshop.change(
        session_id,
        lambda record: record.with_result(REAL, workshop.clock()).as_published(workshop.clock()),
    )

    await workshop.collect(session_id, reason=reason)

    assert workshop.publisher.events == []
    assert (workshop.face.deleted, workshop.waiting()) == ([session_id], [])


@pytest.mark.parametrize("reason", Reason)
async def test_message_that_comes_too_early_waits_and_keeps_its_reason(
    workshop: Workshop, reason: Reason
) -> None:
    """While the token works the session can still begin: nothing is decided before."""
    session_id = await workshop.created()

    await workshop.collect(session_id, reason=reason)

    assert workshop.publisher.events == []
    assert [waiting.message for waiting in workshop.waiting()] == [
        CollectMessage(session_id, reason, looks=1)
    ]
