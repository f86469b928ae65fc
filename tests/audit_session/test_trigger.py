"""The audit of a session over HTTP, with the simulator in each API version."""

import logging
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from collect_result.use_case import collect_result
from local.simulator.versions import FLAGGED_SESSION
from shared.app import build, install
from shared.face.endpoint import API_VERSIONS
from shared.queues.message import CollectMessage, Reason
from tests.support.broker import FACE_KEY, FUNCTION_KEY, Broker, running_broker

OLD, *NEWER = API_VERSIONS
KEY = {"x-functions-key": FUNCTION_KEY}


async def audit(broker: Broker, session: dict[str, Any], **query: str | int) -> httpx.Response:
    """Ask as a server."""
    path = f"/api/sessions/{session['sessionId']}/audit"
    return await broker.http.get(path, headers=KEY, params=query)


async def audited(broker: Broker, session: dict[str, Any], **query: str | int) -> dict[str, Any]:
    """Ask, and expect entries."""
    answer = await audit(broker, session, **query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["sessionId"] == session["sessionId"]
    return body


def require_error(answer: httpx.Response, status: int, code: str) -> None:
    """The error has its code in body and header."""
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    assert answer.json()["error"]["code"] == code


async def test_first_version_tells_each_attempt_as_face_entered_it() -> None:
    """With v1.1-preview.1 a server sees every attempt, also after the operator changed to a version without audit."""
    async with running_broker() as broker:
        session = await broker.created("sim-second-passes")
        told = [await broker.perform(session) for _ in range(2)]
        settings = replace(broker.app.settings, face_api_version="v1.2")
        other = build(settings, clock=broker.clock, store=broker.app.store, queue=broker.app.queue)
        install(other)

        body = await audited(broker, session)
        await other.aclose()

    failed, passed = body["entries"]
    assert body["source"] == "upstream"
    assert [failed["event"], passed["event"]] == ["attempt", "attempt"]
    assert (failed["livenessDecision"], failed["response"]["statusCode"]) == (None, 400)
    assert set(failed["failure"]) == {"code", "message"}
    assert passed == {
        "id": 2,
        "event": "attempt",
        "receivedDateTime": "2027-01-15T08:00:00.000Z",
        "requestId": told[1]["resultId"],
        "clientRequestId": told[1]["resultId"],
        "request": {"method": "POST", "url": "/face/v1.1-preview.1/detectliveness/singlemodal"},
        "response": {"statusCode": 200, "latencyInMilliseconds": 1200},
        "livenessDecision": "realface",
        "failure": None,
        "digest": told[1]["digest"],
        "digestMatches": None,
        "decisions": [],
        "abuseDetected": None,
        "flaggedSessions": [],
        "clientInformation": [],
    }


async def test_record_tells_what_is_deleted_at_face_with_the_session() -> None:
    """Each decision, the flagged sessions and the phone's address: a human may have to look at them later."""
    async with running_broker(FACE_API_VERSION="v1.3-preview.1") as broker:
        session = await broker.created("sim-abuse")
        told = await broker.perform(session)
        await broker.result(session, **{"X-Client-Digest": told["digest"]})
        await collect_result(broker.app, CollectMessage(session["sessionId"], Reason.SWEEP))
        created, completed, *_ = (await audited(broker, session))["entries"]

    fields = ("decisions", "digestMatches", "abuseDetected", "flaggedSessions", "clientInformation")
    expected = [["realface"], True, True, [FLAGGED_SESSION], [{"ip": "127.0.0.1"}]]
    assert [completed[name] for name in fields] == expected
    assert [created[name] for name in fields] == [[], None, None, [], []]


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_collected_session_is_told_from_the_record(version: str) -> None:
    """Where Face has no audit, or the session is deleted there, the record answers in the same shape."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        told = await broker.perform(session)
        broker.clock.advance_seconds(5)
        if version in NEWER:
            await broker.result(session)
            before = await audited(broker, session)
            assert [entry["event"] for entry in before["entries"]] == ["created", "completed"]
        await collect_result(broker.app, CollectMessage(session["sessionId"], Reason.SWEEP))
        body = await audited(broker, session)
        # The first version's result needs one. The answer from the record needs none.
        assert broker.simulator.calls["audit"] == (version == OLD)
    created, completed, *others = body["entries"]
    assert body["source"] == "record"
    began, ended = "2027-01-15T08:00:00.000Z", "2027-01-15T08:00:05.000Z"
    assert [(entry["id"], entry["event"], entry["receivedDateTime"]) for entry in body["entries"]] == [
        (1, "created", began),
        (2, "completed", ended),
        (3, "published", ended),
        (4, "deletedUpstream", ended),
    ]
    assert (completed["livenessDecision"], completed["digest"]) == ("realface", told["digest"])
    assert uuid.UUID(completed["requestId"])
    for entry in (created, *others):
        assert (entry["livenessDecision"], entry["digest"], entry["requestId"]) == (None, None, None)


async def test_session_that_face_forgot_is_told_from_the_record() -> None:
    """After 48 hours Face has dropped the session: the record is still there."""
    async with running_broker() as broker:
        session = await broker.created()
        broker.clock.advance_seconds(48 * 3600 + 1)
        body = await audited(broker, session)
        assert broker.simulator.calls["audit"] == 1
    assert body["source"] == "record"


async def test_server_sees_what_phones_do_not() -> None:
    """A decision that `RESULT_VISIBILITY=status` hides from phones, and a revoked session."""
    async with running_broker(RESULT_VISIBILITY="status") as broker:
        session = await broker.created()
        await broker.perform(session)
        [attempt] = (await audited(broker, session))["entries"]
        await broker.revoke(session)
        revoked = await audited(broker, session)

    assert attempt["livenessDecision"] == "realface"
    events = [entry["event"] for entry in revoked["entries"]]
    assert events == ["created", "completed", "revoked", "deletedUpstream"]


@pytest.mark.parametrize("version", [OLD, NEWER[0]])
async def test_pages_follow_each_other(version: str) -> None:
    """A page begins after `start` and has at most `top` entries, from either source."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        for _ in range(2):
            await broker.perform(session)
        await broker.result(session)
        whole = (await audited(broker, session))["entries"]

        first = (await audited(broker, session, top=1))["entries"]
        second = (await audited(broker, session, start=first[0]["id"], top=1))["entries"]
        after = (await audited(broker, session, start=second[0]["id"]))["entries"]

    assert len(whole) == 2
    assert [*first, *second] == whole
    assert after == []


async def test_page_is_within_the_limits_of_face() -> None:
    """Another page is refused in Face's words, without a call. An empty `top` is as good as none."""
    async with running_broker() as broker:
        session = await broker.created()
        for top in ("0", "1001", "x", "1.0", "\u0661", "9" * 5000):
            require_error(await audit(broker, session, top=top), 400, "InvalidTop")
        for start in ("-1", "x&top=1", str(2**63), "1\n"):
            require_error(await audit(broker, session, start=start), 400, "InvalidStart")
        assert broker.simulator.calls["audit"] == 0
        for query in ({"top": "1000"}, {"top": "1"}, {"start": str(2**63 - 1)}, {"top": ""}):
            assert (await audited(broker, session, **query))["source"] == "upstream"


async def test_session_without_a_record_is_not_found() -> None:
    """Unknown, malformed, or made at the same Face resource by another app: Face is not asked about it."""
    async with running_broker() as broker:
        session = await broker.created()
        await broker.app.sessions.remove(session["sessionId"])
        for session_id in (session["sessionId"], str(uuid.UUID(int=1)), "unknown", "%2e%2e%2fx"):
            require_error(await audit(broker, {"sessionId": session_id}), 404, "SessionNotFound")

        assert broker.simulator.calls["audit"] == 0


async def test_failure_of_face_is_not_hidden_behind_the_record() -> None:
    """It is answered by the catalogue."""
    async with running_broker() as broker:
        session = await broker.created()
        broker.simulator.fail(401, count=5)

        require_error(await audit(broker, session), 502, "UpstreamUnauthorized")


async def test_nothing_secret_is_in_the_answer_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Token, key, device id, and the header fields of the phone's own calls reach no server."""
    caplog.set_level(logging.DEBUG)
    async with running_broker() as broker:
        session = await broker.created("canary-device")
        headers = {"Authorization": f"Bearer {session['authToken']}", "User-Agent": "canary-agent"}
        headers["client-request-id"] = "canary-client-request"
        await broker.phone.post("/simulator/perform", headers=headers, json={})
        url = f"{broker.simulator.url}/face/{OLD}/detectLiveness/singleModal/sessions/{session['sessionId']}/audit"
        upstream = await broker.phone.get(url, headers={"Ocp-Apim-Subscription-Key": FACE_KEY})
        answer = await audit(broker, session)

    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("audit_session", "shared"))]
    assert "canary-agent" in upstream.text
    assert "canary-client-request" in upstream.text
    assert len(answer.json()["entries"]) == 1
    assert ours
    for secret in ("canary", session["authToken"], FACE_KEY):
        assert secret not in f"{answer.headers} {answer.text} {ours}"
