"""What a pass rests on, over HTTP: nobody turns a check that failed into one that passed, or hides it."""

from collections.abc import Mapping
from typing import Any

import pytest

from collect_result.use_case import collect_result
from shared.errors import StorageUnavailable
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
REQUIRED = {"REQUIRE_DIGEST": "true"}
STATUS_FOR_PHONES = {"RESULT_VISIBILITY": "status"}
# Decision, `digestMatches` and `passed` of an answer or an event.
UNDECIDED = (None, None, False)
MATCHES = ("realface", True, True)
DIFFERS = ("realface", False, False)
NOT_SENT, MISSING = ("realface", None, True), ("realface", None, False)
SPOOF = ("spoofface", None, False)
# The one word of an answer that tells the status alone.
WITHHELD = "ResultAvailable"

every_version = pytest.mark.parametrize("version", API_VERSIONS)


async def read(
    broker: Broker, session: Mapping[str, Any], digest: str | None = None, after: float = 1
) -> dict[str, Any]:
    """The answer to a phone that sends this digest, some seconds after its last one."""
    broker.clock.advance_seconds(after)
    headers = {} if digest is None else {"X-Client-Digest": digest}
    answer = await broker.result(session, **headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def event_of(broker: Broker, session: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the session's one event, once everything that is waiting was collected."""
    await collect_all(broker)
    [event] = [event for event in broker.events if event["subject"] == session["sessionId"]]
    return dict(event["data"])


def shown(data: Mapping[str, Any], *names: str) -> list[Any]:
    """Some fields of an answer or an event."""
    return [data[name] for name in names]


async def told(broker: Broker, device: str, steps: str) -> list[object]:
    """Take a session through steps; returns the outcome that each read and the event tells, and counts of events.

    `check` makes an attempt. `poll` reads without a digest, `digest` with the one that the phone was told, and `early`
    with it, but too soon for a call of Face. `lower`, `wrong` and `empty` read with it in lower case, with another
    one, and with an empty header. `due` collects what is due and counts the events, `all` does so with everything that
    waits, and `event` reads the session's one event then.
    """
    session, digest, outcomes = await broker.created(device), "", list[object]()
    for step in steps.split():
        if step == "check":
            digest = (await broker.perform(session))["digest"] or ""
        elif step == "revoke":
            assert (await broker.revoke(session)).status_code == 204
        elif step in ("due", "all"):
            await (collect_due if step == "due" else collect_all)(broker)
            outcomes.append(len(broker.events))
        else:
            sent = {"poll": None, "empty": "", "lower": digest.lower(), "wrong": "0" * 64}.get(step, digest)
            data = await (
                event_of(broker, session)
                if step == "event"
                else read(broker, session, sent, after=0 if step == "early" else 1)
            )
            outcomes.append(
                data["status"]
                if set(data) == STATUS_ALONE
                else tuple(shown(data, "livenessDecision", "digestMatches", "passed"))
            )
    return outcomes


@every_version
@pytest.mark.parametrize(
    ("settings", "device", "steps", "expected"),
    [
        # A digest that differed once differs for good, whatever is sent later.
        ({}, "", "check wrong digest poll event digest", [DIFFERS] * 5),
        (REQUIRED, "", "check wrong digest event digest", [DIFFERS] * 4),
        ({}, "sim-digest-second-matches", "check digest check digest event", [DIFFERS] * 3),
        ({}, "", "check lower wrong event", [MATCHES] * 3),
        # The digest of a poll that comes too soon is compared when the decision is read.
        ({}, "", "poll check early poll event", [UNDECIDED] * 2 + [MATCHES] * 2),
        (REQUIRED, "", "poll check early event", [UNDECIDED] * 2 + [MATCHES]),
        # Without the digest that is required nobody has passed, and the event waits for it.
        (REQUIRED, "", "poll check poll empty due digest", [UNDECIDED, WITHHELD, WITHHELD, 0, MATCHES]),
        (REQUIRED, "", "check digest poll empty due event", [MATCHES, WITHHELD, WITHHELD, 1, MATCHES]),
        (REQUIRED, "", "check poll event digest", [WITHHELD, MISSING, MISSING]),
        (REQUIRED, "", "check event digest", [MISSING] * 2),
        (REQUIRED, "", "check poll due revoke due event", [WITHHELD, 0, 1, MISSING]),
        # Where none is required a digest counts until the event is made.
        ({}, "", "check poll event wrong", [NOT_SENT] * 3),
        ({}, "", "check poll wrong event", [NOT_SENT, DIFFERS, DIFFERS]),
        # Where a digest is required, Face's result has to have one.
        (REQUIRED, "sim-no-digest", "check wrong event", [DIFFERS] * 2),
        (STATUS_FOR_PHONES, "", "check wrong event", [WITHHELD, DIFFERS]),
        # A session that is revoked without a check has nothing to tell.
        ({}, "", "revoke all", [0]),
        ({}, "sim-abandoned", "check revoke all", [0]),
    ],
)
async def test_answers_and_event_say_the_same(
    version: str, settings: dict[str, Any], device: str, steps: str, expected: list[object]
) -> None:
    async with running_broker(FACE_API_VERSION=version, **settings) as broker:
        assert await told(broker, device or "a-device", steps) == expected
        await collect_all(broker)
        assert waiting_messages(broker) == []


@pytest.mark.parametrize(
    ("device", "steps", "expected"),
    [
        ("sim-second-passes", "check poll due check poll event", [UNDECIDED, 0, NOT_SENT, NOT_SENT]),
        ("sim-second-passes", "check check poll event", [NOT_SENT] * 2),
        ("sim-third-passes", "check poll check poll check poll event", [SPOOF] * 4),
    ],
)
@pytest.mark.parametrize("version", [OLD, NEW])
async def test_poll_between_attempts_ends_the_session_at_a_decision_alone(
    version: str, device: str, steps: str, expected: list[object]
) -> None:
    """The person may take off the mask and try again; a later attempt does not change a decision."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        assert await told(broker, device, steps) == expected


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


@every_version
@pytest.mark.parametrize("required", ["true", "false"])
async def test_server_sends_no_digest_in_place_of_the_phone(version: str, required: str) -> None:
    """It cannot copy Face's own out of the audit to pass a check, nor spoil one. The phone's counts.

    While a digest is awaited the server is told the status alone: nothing has passed or failed yet.
    """
    async with signed_in(REQUIRE_DIGEST=required, FACE_API_VERSION=version) as scene:
        anna, server = scene.issuer.token(), scene.issuer.token(sub="shop", roles=ROLE)
        session = await scene.created(anna)
        told = await scene.broker.perform(session)
        path = f"sessions/{session['sessionId']}"
        for _ in range(2):
            audit = await scene.send("GET", f"{path}/audit", server)
            before = await scene.send("GET", path, server, **{"X-Client-Digest": "0" * 64})
            if required == "true":
                assert told["digest"] not in audit.text
                assert set(before.json()) == STATUS_ALONE
            scene.broker.clock.advance_seconds(1)
        answer = await scene.of(session, "GET", anna, **{"X-Client-Digest": told["digest"]})
        after = await scene.send("GET", path, server)
        audit = await scene.send("GET", f"{path}/audit", server)

    assert [shown(one.json(), "digestMatches", "passed") for one in (answer, after)] == [[True, True]] * 2
    assert told["digest"] in audit.text


@pytest.mark.parametrize(
    ("version", "device", "is_failure", "detected", "passed"),
    [
        (NEWEST, "sim-abuse", "true", True, False),
        (NEWEST, "sim-abuse", "false", True, True),
        (NEWEST, "sim-realface", "true", False, True),
        (NEW, "sim-realface", "true", None, True),
        (OLD, "sim-realface", "true", None, True),
    ],
)
async def test_abuse_is_told_and_no_pass_where_it_is_a_failure(
    version: str,
    device: str,
    is_failure: str,
    detected: bool | None,
    passed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only the newest version tells it. The log names the session once, because a human has to look at it."""
    async with running_broker(FACE_API_VERSION=version, ABUSE_IS_FAILURE=is_failure) as broker:
        session = await broker.created(device)
        await broker.perform(session)
        answers = [await read(broker, session), await event_of(broker, session)]

    assert [shown(one, "abuseDetected", "passed") for one in answers] == [[detected, passed]] * 2
    lines = [line for line in caplog.messages if '"abuse_detected"' in line]
    assert [session["sessionId"] in line for line in lines] == ([True] if detected else [])


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


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("way", ["polls", "revokes", "stays away"])
async def test_each_failed_attempt_is_charged_once(version: str, way: str) -> None:
    """Two spoofs before a real face in one session are two failures, no matter who reads them and how often."""
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
