"""The audit of a session through HTTP, over the simulator, in each version of the upstream."""

import logging
import uuid
from dataclasses import replace
from typing import Any

import httpx
import pytest

from collect_result.use_case import collect_result
from shared.app import build, install
from shared.face.versions import API_VERSIONS
from shared.queues.message import CollectMessage, Reason
from tests.support.broker import FACE_KEY, FUNCTION_KEY, Broker, running_broker

OLD, *NEWER = API_VERSIONS
KEY = {"x-functions-key": FUNCTION_KEY}
ENTRY = {
    "id",
    "event",
    "receivedDateTime",
    "requestId",
    "clientRequestId",
    "request",
    "response",
    "livenessDecision",
    "failure",
    "digest",
}


async def audit(broker: Broker, session: dict[str, Any], **query: str | int) -> httpx.Response:
    """Ask as a server does."""
    path = f"/api/sessions/{session['sessionId']}/audit"
    return await broker.http.get(path, headers=KEY, params=query)


async def audited(broker: Broker, session: dict[str, Any], **query: str | int) -> dict[str, Any]:
    """Ask, and expect an audit whose entries have the one shape that there is."""
    answer = await audit(broker, session, **query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {"sessionId", "source", "entries"}
    assert body["sessionId"] == session["sessionId"]
    for entry in body["entries"]:
        assert set(entry) == ENTRY
        assert set(entry["request"]) == {"method", "url"}
        assert set(entry["response"]) == {"statusCode", "latencyInMilliseconds"}
    return body


def require_error(answer: httpx.Response, status: int, code: str) -> None:
    """The error has its code in body and header."""
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
    assert answer.json()["error"]["code"] == code


async def test_first_version_tells_each_attempt_as_face_entered_it() -> None:
    """With v1.1-preview.1 a server sees every attempt, the failed one too, with Face's ids and verdicts."""
    async with running_broker() as broker:
        session = await broker.created("sim-second-passes")
        told = [await broker.perform(session) for _ in range(2)]

        body = await audited(broker, session)

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
    }


@pytest.mark.parametrize("version", NEWER)
async def test_later_versions_tell_the_history_of_the_record(version: str) -> None:
    """Where the upstream has no audit, the broker's own record is told in the same shape, with the outcome."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        told = await broker.perform(session)
        broker.clock.advance_seconds(5)
        assert (await broker.result(session)).json()["passed"]

        body = await audited(broker, session)

    created, completed = body["entries"]
    assert body["source"] == "record"
    assert [(entry["id"], entry["event"]) for entry in body["entries"]] == [(1, "created"), (2, "completed")]
    assert [entry["receivedDateTime"] for entry in body["entries"]] == [
        "2027-01-15T08:00:00.000Z",
        "2027-01-15T08:00:05.000Z",
    ]
    assert (created["livenessDecision"], created["digest"], created["requestId"]) == (None, None, None)
    assert (completed["livenessDecision"], completed["digest"]) == ("realface", told["digest"])
    assert uuid.UUID(completed["requestId"])


async def test_session_without_an_attempt_has_an_empty_audit_upstream() -> None:
    """Nobody started it: Face has nothing to tell, and says so."""
    async with running_broker() as broker:
        body = await audited(broker, await broker.created())

    assert (body["source"], body["entries"]) == ("upstream", [])


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_collected_session_is_told_from_the_record(version: str) -> None:
    """After the result is collected the upstream session is deleted: what is left is the record, and it says so."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        await broker.perform(session)
        await collect_result(broker.app, CollectMessage(session["sessionId"], Reason.SWEEP))
        assert broker.simulator.sessions[0].deleted

        body = await audited(broker, session)

        assert broker.simulator.calls["audit"] == 0
    assert body["source"] == "record"
    steps = [entry["event"] for entry in body["entries"]]
    assert steps == ["created", "completed", "published", "deletedUpstream"]
    assert body["entries"][1]["livenessDecision"] == "realface"


async def test_session_that_face_forgot_is_told_from_the_record() -> None:
    """After 48 hours Face has dropped the session: the record is still there."""
    async with running_broker() as broker:
        session = await broker.created()
        broker.clock.advance_seconds(48 * 3600 + 1)

        body = await audited(broker, session)

        assert broker.simulator.calls["audit"] == 1
    assert body["source"] == "record"


async def test_session_is_audited_in_the_version_that_it_was_made_with() -> None:
    """Where another version is spoken by now, which has no audit, Face is asked for its entries all the same."""
    async with running_broker() as broker:
        session = await broker.created()
        await broker.perform(session)
        settings = replace(broker.app.settings, face_api_version="v1.2")
        other = build(settings, clock=broker.clock, store=broker.app.store, queue=broker.app.queue)
        install(other)

        body = await audited(broker, session)
        await other.aclose()

    assert (body["source"], len(body["entries"])) == ("upstream", 1)


async def test_revoked_session_can_be_audited() -> None:
    """Phones do not find it any more; an auditor sees that it was revoked."""
    async with running_broker() as broker:
        session = await broker.created()
        await broker.revoke(session)

        body = await audited(broker, session)

    assert [entry["event"] for entry in body["entries"]] == ["created", "revoked", "deletedUpstream"]


async def test_decision_is_told_to_servers_where_it_is_kept_from_phones() -> None:
    """`RESULT_VISIBILITY=status` is about phones."""
    async with running_broker(RESULT_VISIBILITY="status") as broker:
        session = await broker.created()
        await broker.perform(session)

        body = await audited(broker, session)

    assert body["entries"][0]["livenessDecision"] == "realface"


@pytest.mark.parametrize("version", [OLD, NEWER[0]])
async def test_pages_follow_each_other(version: str) -> None:
    """A page begins after `start` and has at most `top` entries, whoever tells them."""
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


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param({"top": "0"}, "InvalidTop", id="top-0"),
        pytest.param({"top": "1001"}, "InvalidTop", id="top-1001"),
        pytest.param({"top": "x"}, "InvalidTop", id="top-text"),
        pytest.param({"top": "1.0"}, "InvalidTop", id="top-fraction"),
        pytest.param({"top": "\u0661"}, "InvalidTop", id="top-other-digits"),
        pytest.param({"top": "9" * 5000}, "InvalidTop", id="top-endless"),
        pytest.param({"start": "-1"}, "InvalidStart", id="start-negative"),
        pytest.param({"start": "x&top=1"}, "InvalidStart", id="start-with-more"),
        pytest.param({"start": str(2**63)}, "InvalidStart", id="start-beyond-64-bits"),
        pytest.param({"start": "1\n"}, "InvalidStart", id="start-with-a-line-end"),
    ],
)
async def test_page_that_cannot_be_is_refused_and_asks_nobody(query: dict[str, str], code: str) -> None:
    """The upstream's own limits hold here already, in its words."""
    async with running_broker() as broker:
        answer = await audit(broker, await broker.created(), **query)

        require_error(answer, 400, code)
        assert broker.simulator.calls["audit"] == 0


@pytest.mark.parametrize("query", [{"top": "1000"}, {"top": "1"}, {"start": str(2**63 - 1)}, {"top": ""}])
async def test_page_at_its_limits_is_taken(query: dict[str, str]) -> None:
    """Both ends of a range are valid; an empty parameter is none."""
    async with running_broker() as broker:
        assert (await audited(broker, await broker.created(), **query))["entries"] == []


@pytest.mark.parametrize(
    "session_id",
    [
        "b12e033e-bda7-4b83-a211-e721c661f30e",
        "unknown",
        "%2e%2e%2fx",
        "a%00b"[:1],
        "B12E033E-BDA7-4B83-A211-E721C661F30E",
    ],
)
async def test_session_that_this_broker_did_not_make_is_not_found(session_id: str) -> None:
    """The record decides: Face is not asked about a session that is somebody else's."""
    async with running_broker() as broker:
        require_error(await audit(broker, {"sessionId": session_id}), 404, "SessionNotFound")

        assert broker.simulator.calls["audit"] == 0


async def test_session_made_beside_the_broker_is_not_found() -> None:
    """A session of the same Face resource that has no record here is none."""
    async with running_broker() as broker:
        session = await broker.created()
        await broker.app.sessions.remove(session["sessionId"])

        require_error(await audit(broker, session), 404, "SessionNotFound")


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "wrong"}], ids=["none", "wrong"])
async def test_without_the_function_key_it_is_the_hosts_401(headers: dict[str, str]) -> None:
    """A phone with its session's token gets nothing here."""
    async with running_broker() as broker:
        session = await broker.created()
        token = {"X-Session-Token": session["authToken"]}

        answer = await broker.http.get(f"/api/sessions/{session['sessionId']}/audit", headers=token | headers)

    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "BREW"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    """The path exists with one method, and says which, to anybody."""
    async with running_broker() as broker:
        answer = await broker.http.request(method, f"/api/sessions/{uuid.UUID(int=1)}/audit/")

    require_error(answer, 405, "MethodNotAllowed")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [(500, 502, "UpstreamFailure"), (401, 502, "UpstreamUnauthorized"), (404, 502, "UpstreamFailure")],
)
async def test_upstream_trouble_is_told_by_the_catalogue(status: int, answered: int, code: str) -> None:
    """What Face does wrong is not hidden behind the record."""
    async with running_broker() as broker:
        session = await broker.created()
        broker.simulator.fail(status, count=5)

        require_error(await audit(broker, session), answered, code)


async def test_canaries_of_phone_and_face_show_in_no_answer_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Token, key, device id, and what the phone writes into its own calls: an auditor is told none of them."""
    caplog.set_level(logging.DEBUG)
    async with running_broker() as broker:
        session = await broker.created("canary-device")
        headers = {
            "Authorization": f"Bearer {session['authToken']}",
            "User-Agent": "canary-agent",
            "client-request-id": "canary-client-request",
        }
        performed = await broker.phone.post("/simulator/perform", headers=headers, json={})
        path = f"{broker.simulator.url}/face/{OLD}/detectLiveness/singleModal/sessions"
        upstream = await broker.phone.get(
            f"{path}/{session['sessionId']}/audit", headers={"Ocp-Apim-Subscription-Key": FACE_KEY}
        )
        answer = await audit(broker, session)

    ours = [r.getMessage() for r in caplog.records if r.name.startswith(("audit_session", "shared"))]
    assert performed.status_code == answer.status_code == 200
    assert "canary-agent" in upstream.text
    assert "canary-client-request" in upstream.text
    assert len(answer.json()["entries"]) == 1
    assert ours
    for secret in ("canary", session["authToken"], FACE_KEY):
        assert secret not in f"{answer.headers} {answer.text} {ours}"
