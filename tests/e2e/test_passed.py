"""What a pass rests on, over HTTP: nobody turns a check that failed into one that passed, or hides it."""

from collections.abc import Mapping
from typing import Any

import pytest

from collect_result.use_case import collect_result
from shared.errors import StorageUnavailable
from shared.events.publisher import MemoryPublisher
from shared.face.endpoint import API_VERSIONS
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import EXPIRY_GRACE_MS
from shared.storage.port import Table
from tests.collect_result.draining import collect_all, collect_due, waiting_messages
from tests.e2e.signed_in import ROLE, signed_in
from tests.support.broker import Broker, running_broker
from tests.support.intercepted import failing_once
from tests.support.store import FakeStore

OLD, NEW, NEWEST = API_VERSIONS
STATUS_ALONE = {"sessionId", "status", "createdDateTime", "expiresAt"}

every_version = pytest.mark.parametrize("version", API_VERSIONS)


async def read(broker: Broker, session: Mapping[str, Any], digest: str | None = None) -> dict[str, Any]:
    """The answer to a phone that sends this digest, a second after its last one."""
    broker.clock.advance_seconds(1)
    headers = {} if digest is None else {"X-Client-Digest": digest}
    answer = await broker.result(session, **headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def event_of(broker: Broker, session: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the session's one event, once everything that is waiting was collected."""
    await collect_all(broker)
    publisher = broker.app.publisher
    assert isinstance(publisher, MemoryPublisher)
    [event] = [event for event in publisher.events if event["subject"] == session["sessionId"]]
    return dict(event["data"])


async def published(broker: Broker) -> int:
    """How many events there are after what is due was collected."""
    await collect_due(broker)
    publisher = broker.app.publisher
    assert isinstance(publisher, MemoryPublisher)
    return len(publisher.events)


def shown(data: Mapping[str, Any], *names: str) -> list[Any]:
    """Some fields of an answer or an event."""
    return [data[name] for name in names]


@every_version
@pytest.mark.parametrize("required", ["true", "false"])
async def test_digest_that_differed_once_differs_for_good(version: str, required: str) -> None:
    """The right one that comes later, or none, changes nothing: not in the answers, and not in the event."""
    async with running_broker(FACE_API_VERSION=version, REQUIRE_DIGEST=required) as broker:
        session = await broker.created()
        told = await broker.perform(session)

        answers = [await read(broker, session, digest) for digest in ("0" * 64, told["digest"])]
        if required == "false":
            answers.append(await read(broker, session))
        answers.append(await event_of(broker, session))
        answers.append(await read(broker, session, told["digest"]))

    assert [shown(one, "livenessDecision", "digestMatches", "passed") for one in answers] == [
        ["realface", False, False]
    ] * len(answers)


@pytest.mark.parametrize("required", ["true", "false"])
async def test_digest_of_a_poll_that_comes_too_soon_counts(required: str) -> None:
    """It is compared when the decision is read: by a poll without a digest, or by the collector."""
    async with running_broker(REQUIRE_DIGEST=required) as broker:
        checks = []
        for spoiled in (True, False):
            session = await broker.created()
            await read(broker, session)
            told = await broker.perform(session)
            digest = "0" * 64 if spoiled else told["digest"]
            too_soon = await broker.result(session, **{"X-Client-Digest": digest})
            assert too_soon.json()["status"] == "NotStarted"
            checks.append(session)
        await read(broker, checks[0])
        events = [await event_of(broker, session) for session in checks]

    assert [shown(event, "digestMatches", "passed") for event in events] == [[False, False], [True, True]]


async def test_phone_that_tries_again_after_a_digest_that_differed(broker: Broker) -> None:
    """The decision of the first attempt is final, and so is its comparison."""
    session = await broker.created("sim-digest-second-matches")
    first = await broker.perform(session)
    answers = [await read(broker, session, first["digest"])]
    second = await broker.perform(session)
    answers.append(await read(broker, session, second["digest"]))
    answers.append(await event_of(broker, session))

    assert [shown(one, "digestMatches", "passed") for one in answers] == [[False, False]] * 3


async def test_digest_that_matches_is_told_by_answer_and_event(broker: Broker) -> None:
    """Upper and lower case are the same. A wrong one that comes later changes nothing."""
    session = await broker.created()
    told = await broker.perform(session)
    answers = [await read(broker, session, digest) for digest in (told["digest"].lower(), "0" * 64)]
    answers.append(await event_of(broker, session))

    assert [shown(one, "digestMatches", "passed") for one in answers] == [[True, True]] * 3


@pytest.mark.parametrize("nothing", [None, ""])
async def test_digest_is_required_status_alone_is_told_without_one(nothing: str | None) -> None:
    """The event waits for it. An empty header is none. With the digest the session passes."""
    async with running_broker(REQUIRE_DIGEST="true") as broker:
        session = await broker.created()
        before = await read(broker, session, nothing)
        told = await broker.perform(session)
        withheld = [await read(broker, session, nothing) for _ in range(2)]
        events = await published(broker)
        answer = await read(broker, session, told["digest"])
        again = await read(broker, session, nothing)

        assert shown(before, "status", "passed") == ["NotStarted", False]
        assert [set(one) for one in (*withheld, again)] == [STATUS_ALONE] * 3
        assert (withheld[0]["status"], events) == ("ResultAvailable", 0)
        assert shown(answer, "digestMatches", "passed") == [True, True]
        assert await published(broker) == 1
        assert shown(await event_of(broker, session), "digestMatches", "passed") == [True, True]


async def test_message_does_not_settle_a_check_that_waits_for_its_digest() -> None:
    """The digest still counts until two minutes after the token's end. The message is put back until then."""
    async with running_broker(REQUIRE_DIGEST="true") as broker:
        session = await broker.created()
        told = await broker.perform(session)
        await read(broker, session)
        message = CollectMessage(session["sessionId"], Reason.POLL)
        waiting = len(waiting_messages(broker))
        await collect_result(broker.app, message)
        assert len(waiting_messages(broker)) == waiting + 1
        broker.clock.advance_seconds(600 + EXPIRY_GRACE_MS // 1000 - 10)
        await collect_result(broker.app, message)
        answer = await read(broker, session, told["digest"])

        assert shown(answer, "digestMatches", "passed") == [True, True]
        assert shown(await event_of(broker, session), "digestMatches", "passed") == [True, True]


@pytest.mark.parametrize("polls", [True, False])
async def test_digest_is_required_and_never_comes(polls: bool) -> None:
    """After the token's end the event says that nobody passed. A digest that comes after it is not compared."""
    async with running_broker(REQUIRE_DIGEST="true") as broker:
        session = await broker.created()
        told = await broker.perform(session)
        if polls:
            await read(broker, session)
        event = await event_of(broker, session)
        late = await read(broker, session, told["digest"])

    expected = ["realface", None, False]
    assert [shown(one, "livenessDecision", "digestMatches", "passed") for one in (event, late)] == [
        expected
    ] * 2


async def test_event_is_settled_without_a_digest_where_none_is_required(broker: Broker) -> None:
    """A digest counts until the event is made. After that, answer and event still say the same."""
    session, other = await broker.created(), await broker.created()
    for one in (session, other):
        await broker.perform(one)
        await read(broker, one)
    in_time = await read(broker, other, "0" * 64)
    event = await event_of(broker, session)
    late = await read(broker, session, "0" * 64)

    assert [shown(one, "digestMatches", "passed") for one in (event, late)] == [[None, True]] * 2
    assert shown(in_time, "digestMatches", "passed") == [False, False]
    assert shown(await event_of(broker, other), "digestMatches", "passed") == [False, False]


async def test_server_sees_the_outcome_once_no_digest_is_awaited() -> None:
    """Until then it is told the status alone, as a phone without its digest: nothing has passed or failed yet."""
    async with signed_in(REQUIRE_DIGEST="true") as scene:
        anna, server = scene.issuer.token(), scene.issuer.token(sub="shop", roles=ROLE)
        session = await scene.created(anna)
        told = await scene.broker.perform(session)
        path = f"sessions/{session['sessionId']}"
        before = await scene.send("GET", path, server)
        headers = {"X-Session-Token": session["authToken"], "X-Client-Digest": told["digest"]}
        await scene.send("GET", path, anna, **headers)
        after = await scene.send("GET", path, server)

    assert set(before.json()) == STATUS_ALONE
    assert shown(after.json(), "digestMatches", "passed") == [True, True]


@every_version
@pytest.mark.parametrize("required", ["true", "false"])
async def test_server_sends_no_digest_in_place_of_the_phone(version: str, required: str) -> None:
    """It cannot copy Face's own out of the audit to pass a check, nor spoil one. The phone's counts."""
    async with signed_in(REQUIRE_DIGEST=required, FACE_API_VERSION=version) as scene:
        anna, server = scene.issuer.token(), scene.issuer.token(sub="shop", roles=ROLE)
        session = await scene.created(anna)
        told = await scene.broker.perform(session)
        path = f"sessions/{session['sessionId']}"
        for _ in range(2):
            audit = await scene.send("GET", f"{path}/audit", server)
            if required == "true":
                assert told["digest"] not in audit.text
            await scene.send("GET", path, server, **{"X-Client-Digest": "0" * 64})
            scene.broker.clock.advance_seconds(1)
        headers = {"X-Session-Token": session["authToken"], "X-Client-Digest": told["digest"]}
        answer = await scene.send("GET", path, anna, **headers)
        audit = await scene.send("GET", f"{path}/audit", server)

    assert shown(answer.json(), "digestMatches", "passed") == [True, True]
    assert told["digest"] in audit.text


async def test_result_without_a_digest_matches_none() -> None:
    """Where a digest is required, Face's result has to have one."""
    async with running_broker(REQUIRE_DIGEST="true") as broker:
        session = await broker.created("sim-no-digest")
        await broker.perform(session)

        assert shown(await read(broker, session, "0" * 64), "digestMatches", "passed") == [False, False]
        assert shown(await event_of(broker, session), "digest", "passed") == [None, False]


async def test_digest_is_read_where_decisions_are_hidden() -> None:
    """The phone sees the status alone; the event knows that its digest differed."""
    async with running_broker(RESULT_VISIBILITY="status") as broker:
        session = await broker.created()
        await broker.perform(session)

        assert set(await read(broker, session, "0" * 64)) == STATUS_ALONE
        assert shown(await event_of(broker, session), "digestMatches", "passed") == [False, False]


@pytest.mark.parametrize(("is_failure", "passed"), [("true", False), ("false", True)])
async def test_abuse_is_told_and_no_pass_where_it_is_a_failure(
    is_failure: str, passed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the session once, because a human has to look at it."""
    async with running_broker(FACE_API_VERSION=NEWEST, ABUSE_IS_FAILURE=is_failure) as broker:
        session = await broker.created("sim-abuse")
        await broker.perform(session)
        answers = [await read(broker, session), await event_of(broker, session)]

    assert [shown(one, "abuseDetected", "passed") for one in answers] == [[True, passed]] * 2
    [line] = [line.getMessage() for line in caplog.records if '"abuse_detected"' in line.getMessage()]
    assert session["sessionId"] in line


@pytest.mark.parametrize(("version", "detected"), [(OLD, None), (NEW, None), (NEWEST, False)])
async def test_check_without_abuse_passes(version: str, detected: bool | None) -> None:
    """Only the newest version says so."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        await broker.perform(session)

        assert shown(await read(broker, session), "abuseDetected", "passed") == [detected, True]


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("polls", [True, False])
async def test_poll_between_two_attempts_does_not_end_the_session(version: str, polls: bool) -> None:
    """An attempt that failed is shown, and the person may take off the mask and try again."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created("sim-second-passes")
        await broker.perform(session)
        if polls:
            between = await read(broker, session)
            assert shown(between, "status", "passed", "livenessDecision") == ["Started", False, None]
            assert between["failure"]["code"] == "FaceWithMaskDetected"
            assert await published(broker) == 0
            assert not broker.simulator.sessions[0].deleted
        await broker.perform(session)
        answers = [await read(broker, session), await event_of(broker, session)]

    assert [shown(one, "passed", "failure", "attempts") for one in answers] == [[True, None, 2]] * 2


@every_version
async def test_failed_attempt_is_the_result_when_the_token_has_ended(version: str) -> None:
    """v1.3-preview.1 allows one attempt, so that the result is there at once."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created("sim-mask")
        await broker.perform(session)
        at_once = await read(broker, session)
        event = await event_of(broker, session)

        assert at_once["status"] == ("ResultAvailable" if version == NEWEST else "Started")
        assert event["failure"]["code"] == "FaceWithMaskDetected"
        assert shown(event, "passed", "livenessDecision", "digestMatches") == [False, None, None]
        assert (await read(broker, session))["status"] == "ResultAvailable"


async def test_decision_is_final_whatever_the_phone_does_after_it(broker: Broker) -> None:
    """A later attempt that fails does not take the pass away, and one that passes does not give one."""
    session = await broker.created("sim-third-passes")
    answers = []
    for _ in range(3):
        await broker.perform(session)
        answers.append(await read(broker, session))
    answers.append(await event_of(broker, session))

    assert [shown(one, "livenessDecision", "passed") for one in answers] == [["spoofface", False]] * 4


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("way", ["polls", "revokes", "stays away"])
async def test_each_failed_attempt_is_charged_once(version: str, way: str) -> None:
    """Two spoofs before a real face in one session count as two, whoever reads them, and however often."""
    async with running_broker(
        FACE_API_VERSION=version, THROTTLE_FAILURES="3/1d", THROTTLE_DEVICE="off"
    ) as broker:
        for expected in (200, 429):
            session = await broker.created("sim-third-passes")
            for _ in range(3):
                await broker.perform(session)
            if way == "polls":
                assert [(await read(broker, session))["passed"] for _ in range(2)] == [True, True]
            if way == "revokes":
                assert (await broker.revoke(session)).status_code == 204
            assert (await event_of(broker, session))["attempts"] == 3
            assert (await broker.create("sim-third-passes")).status_code == expected


@pytest.mark.parametrize("hidden", [True, False])
async def test_failed_attempt_is_charged_before_its_outcome_is_final(hidden: bool) -> None:
    """Without the digest that is required nothing is final for the phone; a mask after a spoof hides nothing."""
    async with running_broker(
        FACE_API_VERSION=NEW,
        THROTTLE_FAILURES="1/1d",
        THROTTLE_DEVICE="off",
        REQUIRE_DIGEST=str(hidden),
    ) as broker:
        session = await broker.created("sim-spoofface.1")
        await broker.perform(session)
        if not hidden:
            await broker.perform(session, outcome="mask")
        body = await read(broker, session)

        assert body["status"] == ("ResultAvailable" if hidden else "Started")
        assert (await broker.create("sim-spoofface.1")).status_code == 429


async def test_store_that_fails_while_an_attempt_is_charged_does_not_stop_the_poll(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The collector charges it."""
    store = FakeStore()
    async with running_broker(store=store, THROTTLE_FAILURES="1/1d", THROTTLE_DEVICE="off") as broker:
        session = await broker.created("sim-spoofface")
        await broker.perform(session)
        down = StorageUnavailable("down")
        store.around = failing_once("write_together", Table.THROTTLE, arrives=False, error=down)
        assert (await read(broker, session))["livenessDecision"] == "spoofface"
        assert "event_not_hastened" in caplog.text
        await collect_due(broker)

        assert (await broker.create("sim-spoofface")).status_code == 429


@every_version
@pytest.mark.parametrize(
    ("device_id", "decision", "code"),
    [
        ("sim-spoofface", "spoofface", None),
        ("sim-mask", None, "FaceWithMaskDetected"),
        ("sim-realface", "realface", None),
    ],
)
async def test_check_that_was_made_cannot_be_hidden_by_a_deletion(
    version: str, device_id: str, decision: str | None, code: str | None
) -> None:
    """It has its event, at once. Failed ones are counted: the twelfth is as good as refused."""
    async with running_broker(
        FACE_API_VERSION=version, THROTTLE_DEVICE="off", THROTTLE_FAILURES="2/1d"
    ) as broker:
        statuses = []
        for _ in range(3):
            created = await broker.create(device_id)
            statuses.append(created.status_code)
            if created.status_code != 200:
                break
            session = created.json()
            await broker.perform(session)
            assert (await broker.revoke(session)).status_code == 204
            assert (await broker.result(session)).status_code == 404
            await collect_due(broker)
            assert broker.simulator.sessions[-1].deleted

            event = await event_of(broker, session)
            assert shown(event, "livenessDecision", "passed") == [decision, decision == "realface"]
            assert (event["failure"] or {}).get("code") == code

    assert statuses == ([200, 200, 429] if decision == "spoofface" else [200] * 3)


async def test_session_that_is_revoked_without_a_check_has_no_event(broker: Broker) -> None:
    """Not started, or started and given up: there is nothing to tell."""
    for device_id in ("a-device", "sim-abandoned"):
        session = await broker.created(device_id)
        if device_id == "sim-abandoned":
            await broker.perform(session)
        assert (await broker.revoke(session)).status_code == 204
    await collect_all(broker)

    assert await published(broker) == 0
    assert waiting_messages(broker) == []


async def test_digest_was_required_and_the_session_is_revoked() -> None:
    """Nobody can send the digest any more: the event comes at once, and says that nobody passed."""
    async with running_broker(REQUIRE_DIGEST="true") as broker:
        session = await broker.created()
        await broker.perform(session)
        await read(broker, session)
        assert await published(broker) == 0

        await broker.revoke(session)

        assert await published(broker) == 1
        assert shown(await event_of(broker, session), "digestMatches", "passed") == [None, False]


async def test_phone_is_shown_no_decision_by_face_itself_unless_the_operator_allows_it() -> None:
    """A phone that sees its decision first can hide it."""
    async with running_broker() as broker:
        refused = await broker.create(sendResultsToClient=True)
    async with running_broker(ALLOW_RESULTS_TO_CLIENT="true") as broker:
        session = await broker.created(sendResultsToClient=True)
        allowed = await broker.perform(session)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (400, "InvalidRequestBody")
    assert error["target"] == error["details"][0]["target"] == "sendResultsToClient"
    assert allowed["livenessDecision"] == "realface"
