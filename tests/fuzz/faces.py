"""Fuzzers of what Face answers, in all versions of its API."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from local.simulator import answers as simulated
from local.simulator.answers import Answer
from local.simulator.scenarios import MASK, REALFACE, SPOOF, Outcome
from local.simulator.sessions import Session, Sessions
from local.simulator.versions import VERSIONS, Version, show_entry
from shared.errors import UpstreamError, UpstreamFailure, UpstreamSessionGone
from shared.face.answers import ApiVersion, read_created
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.face.refusals import refusal
from shared.http_port import HttpAnswer
from shared.sessions.record import SessionRecord
from shared.text import LONGEST_RETRY_AFTER, parse_session_id
from tests.fuzz.target import answer, fuzzer, message, response_of
from tests.support.time import FakeClock

SESSION: Final = "b12e033e-bda7-4b83-a211-e721c661f30e"
_CLOCK: Final = FakeClock()
_OUTCOMES: Final = (REALFACE, SPOOF, MASK, Outcome("uncertain"))
_NEXT: Final = b"\n\n\n"

_REQUEST_ID: Final = "723d6d03-ef33-40a8-9682-23a1feb7bccd"
_ORDER: Final = {
    "livenessOperationMode": "Passive",
    "authTokenTimeToLiveInSeconds": 600,
    "numberOfClientAttemptsAllowed": 3,
    "livenessModelVersion": "2024-11-15",
}
_RECORD: Final = SessionRecord(
    session_id=SESSION,
    token_hash="h",
    device="d",
    created_at=1_800_000_000_000,
    token_expires_at=1_800_000_600_000,
)


def _shown(version: Version, *outcomes: Outcome) -> Session:
    """A session of the simulator after these attempts."""
    sessions = Sessions(_CLOCK)
    session = sessions.create(dict.fromkeys(version.fields) | _ORDER)
    session.session_id = SESSION
    sessions.start(session)
    for outcome in outcomes:
        sessions.attempt(
            session,
            outcome,
            request_id=_REQUEST_ID,
            client_request_id=_REQUEST_ID,
            user_agent="x",
            address="::1",
        )
    return session


def _results(version: Version) -> tuple[bytes, ...]:
    return tuple(
        answer(version.result(_shown(version, *outcomes), _CLOCK()), apim_request_id=_REQUEST_ID)
        for outcomes in ((), *[(outcome,) for outcome in _OUTCOMES], (SPOOF, REALFACE), (MASK, SPOOF))
    )


def _contradictions() -> Iterator[bytes]:
    """Answers with a decision that something else in them speaks against."""
    for decided in ({"error": {"code": "X"}}, {"error": None, "attemptStatus": "Failed"}):
        attempt = {
            "attemptId": 1,
            "attemptStatus": "Succeeded",
            "result": {"livenessDecision": "realface"},
        } | decided
        yield answer({"sessionId": SESSION, "status": "Succeeded", "results": {"attempts": [attempt]}})
    for failed in ({"error": {"code": "X"}}, {"message": "X"}, {"statusCode": 400}):
        response = {"statusCode": 200, "body": {"livenessDecision": "realface"} | failed}
        result = {
            "id": 1,
            "sessionId": SESSION,
            "receivedDateTime": "2026-11-23T09:52:00Z",
            "response": response,
        }
        yield answer({"id": SESSION, "status": "ResultAvailable", "result": result})


def _audits(version: Version) -> bytes:
    session = _shown(version, *_OUTCOMES[:3])
    return answer([show_entry(session, attempt) for attempt in session.attempts])


def _as_input(refused: Answer) -> bytes:
    headers = {name.lower().replace("-", "_"): value for name, value in refused.headers.items()}
    return f":status: {refused.status}\n".encode() + message(refused.body, **headers)


_NO_PASS: Final = tuple(
    answer(version.result(_shown(version, *outcomes), _CLOCK()))
    for version in VERSIONS
    for outcomes in ((SPOOF,), (MASK,), (REALFACE, SPOOF))
)
_REFUSALS: Final = tuple(
    _as_input(one) for one in vars(simulated).values() if isinstance(one, Answer) and one.status >= 400
)


@fuzzer(
    "Face created",
    *(answer(version.created(_shown(version))) for version in VERSIONS),
    raises=(UpstreamFailure,),
)
def _created(data: bytes) -> None:
    created = read_created(response_of(data))
    assert parse_session_id(created.session_id)
    assert created.auth_token.isascii()
    assert created.auth_token.isprintable()


def _result(version: ApiVersion, data: bytes) -> SessionResult:
    response = response_of(data)
    result = version.read_result(response, SESSION)
    if result.status is SessionStatus.RESULT_AVAILABLE:
        assert (result.decision is None) != (result.failure is None)
    else:
        assert (result.decision, result.failure, result.digest) == (None, None, None)
    if result.decision is LivenessDecision.REALFACE:
        assert _says_realface(version.name, response), "a pass that Face did not give"
    for text in (result.digest, result.request_id, result.failure.message if result.failure else None):
        assert text is None or text.isprintable()
    return result


for _name, _version in zip(API_VERSIONS, VERSIONS, strict=True):
    _seeds = (*_results(_version), *_contradictions())
    fuzzer(f"Face {_name} result", *_seeds, raises=(UpstreamFailure,))(partial(_result, load_version(_name)))


def _says_realface(version: str, response: HttpAnswer) -> bool:
    """Whether the newest attempt of the session decided so, and nothing in the answer speaks against it."""
    session = json.loads(response.body)
    if version == "v1.1-preview.1":
        entry = session["result"]
        body = entry["response"]["body"]
        return (
            (response.status, session["id"], entry["sessionId"]) == (200, SESSION, SESSION)
            and session["status"] == "ResultAvailable"
            and entry["response"]["statusCode"] in (200, 204)
            and all(body.get(name) is None for name in ("error", "code", "statusCode", "message"))
            and body["livenessDecision"].lower() == "realface"
        )
    newest = max(session["results"]["attempts"], key=lambda attempt: attempt["attemptId"])
    return (
        (response.status, session["sessionId"]) == (200, SESSION)
        and session["status"] == newest["attemptStatus"] == "Succeeded"
        and newest.get("error") is None
        and newest["result"]["livenessDecision"].lower() == "realface"
    )


@fuzzer(
    "history of a session",
    *_NO_PASS,
    *_contradictions(),
    _NEXT.join(_NO_PASS[:3]),
    _NEXT.join(_NO_PASS[3:]),
)
def _history(data: bytes) -> None:
    """Several answers, one after the other: what they make of a record."""
    record, passed, now = _RECORD, False, _RECORD.created_at
    for part in data.split(_NEXT)[:8]:
        now += 600_000
        before = record
        for version in map(load_version, API_VERSIONS):
            try:
                result = _result(version, part)
            except UpstreamFailure:
                continue
            passed = passed or result.decision is LivenessDecision.REALFACE
            record = record.with_result(result, now)
        assert not before.closed or record == before, "a final record changed"
    assert passed or not record.passed, "a pass that no answer gave"
    assert not (record.final and record.completed_at is None)


def _audit(read: Callable[[HttpAnswer, str], Any], data: bytes) -> None:
    entries = read(response_of(data), SESSION)
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    for entry in entries:
        assert (entry.decision is None) != (entry.failure is None)
        assert "?" not in (entry.path or "")


for _name, _version in zip(API_VERSIONS, VERSIONS, strict=True):
    if _read := load_version(_name).read_audit:
        fuzzer(f"Face {_name} audit", _audits(_version), raises=(UpstreamFailure,))(partial(_audit, _read))


@fuzzer("Face deleted", b":status: 200\n\n", b":status: 204\n\n", answer({}))
def _deleted(data: bytes) -> None:
    response = response_of(data)
    for version in map(load_version, API_VERSIONS):
        try:
            version.require_deleted(response)
        except UpstreamFailure:
            continue
        assert (response.status, response.body) == (version.deleted_status, b"")


@fuzzer(
    "Face refusals",
    *_REFUSALS,
    _as_input(simulated.rate_limited(26, header=True)),
    b":status: 429\nretry-after: Mon, 23 Nov 2026 09:53:00 GMT\ndate: Mon, 23 Nov 2026 09:52:00 GMT\n\n",
    answer({"statusCode": 429, "message": "Please retry after 1.5 minutes."}, 429),
)
def _refusal(data: bytes) -> None:
    response = response_of(data)
    error = refusal(response)
    if isinstance(error, UpstreamSessionGone):
        assert response.status == 404
        return
    assert isinstance(error, UpstreamError)
    assert error.retry_after is None or 0 <= error.retry_after <= LONGEST_RETRY_AFTER
    str(error).encode()
