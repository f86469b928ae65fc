import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure
from shared.face import v1_1_preview_1
from shared.face.answers import UpstreamRequest
from shared.face.model import (
    AuditEntry,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from tests.shared.face.doubles import SESSION, response
from tests.shared.face.json_values import json_objects, unhurried

VERSION = v1_1_preview_1.VERSION
REAL = {"livenessDecision": "realface"}
DIGEST = "1CC98BA83EAF1D0FF7F566FAEFCCCC787819FFA01251E2D9299143F7AD6651DB"
ATTEMPT_REQUEST = "4af681e9-0e25-43e9-9922-a7adebf13b2f"

# The published example of the specification, whose status is not that of a session with a result.
EXAMPLE: dict[str, Any] = {
    "id": SESSION,
    "createdDateTime": "2024-03-05T11:07:29.698Z",
    "sessionStartDateTime": "2024-03-05T11:07:29.698Z",
    "sessionExpired": True,
    "deviceCorrelationId": "your_device_correlation_id",
    "authTokenTimeToLiveInSeconds": 600,
    "status": "NotStarted",
    "result": {
        "id": 4,
        "sessionId": SESSION,
        "requestId": ATTEMPT_REQUEST,
        "clientRequestId": ATTEMPT_REQUEST,
        "receivedDateTime": "2024-03-05T11:07:29.698Z",
        "request": {
            "url": "/face/v1.1-preview.1/detectliveness/singlemodal",
            "method": "POST",
            "contentLength": 18,
            "contentType": "multipart/form-data",
        },
        "response": {"body": {}, "statusCode": 200, "latencyInMilliseconds": 1200},
        "digest": DIGEST,
    },
}


def with_result(body: object, status_code: object = 200, **changed: object) -> dict[str, Any]:
    result = EXAMPLE["result"] | {"response": {"body": body, "statusCode": status_code}}
    return EXAMPLE | {"status": "ResultAvailable", "result": result | changed}


def read(content: object) -> SessionResult:
    headers = {"apim-request-id": "read-call"}
    return VERSION.read_result(response(200, json.dumps(content).encode(), headers), SESSION)


@pytest.mark.parametrize("to_client", [True, False])
def test_create_is_the_documented_request(to_client: bool) -> None:
    """Every default is written out, and results go to the client where asked for."""
    spec = SessionSpec(LivenessMode.PASSIVE, "a-device", 600, send_results_to_client=to_client)
    assert VERSION.create_request(spec) == UpstreamRequest(
        "POST",
        "/face/v1.1-preview.1/detectLiveness/singleModal/sessions",
        {
            "livenessOperationMode": "Passive",
            "deviceCorrelationId": "a-device",
            "authTokenTimeToLiveInSeconds": 600,
            "sendResultsToClient": to_client,
            "deviceCorrelationIdSetInClient": False,
        },
    )


@pytest.mark.parametrize(
    ("status", "expired", "expected"),
    [
        ("NotStarted", False, SessionStatus.NOT_STARTED),
        ("Started", False, SessionStatus.STARTED),
        ("NotStarted", True, SessionStatus.EXPIRED),
        ("Started", True, SessionStatus.EXPIRED),
        ("ResultAvailable", True, SessionStatus.EXPIRED),
        ("SomethingNew", False, SessionStatus.STARTED),
        ("resultavailable", False, SessionStatus.STARTED),
    ],
)
def test_session_without_result_stands_as_its_status_says(
    status: str, expired: bool, expected: SessionStatus
) -> None:
    """A session without a result is expired where Face says so, else as its status; an unknown one is not final."""
    content = {"id": SESSION, "status": status, "sessionExpired": expired}
    assert read(content) == SessionResult(expected, request_id="read-call")


def test_published_example_is_not_a_result() -> None:
    """The specification's own example has a result under the status NotStarted: the status decides."""
    assert read(EXAMPLE) == SessionResult(SessionStatus.EXPIRED, request_id="read-call")


@pytest.mark.parametrize("status_code", [200, 204])
def test_attempt_that_succeeded_has_its_decision(status_code: int) -> None:
    """The phone itself may have got an empty answer."""
    assert read(with_result(REAL, status_code)) == SessionResult(
        SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, DIGEST, request_id=ATTEMPT_REQUEST
    )


@pytest.mark.parametrize(
    ("body", "status_code", "code", "message"),
    [
        ({}, 200, "NoDecision", "The attempt ended without a decision."),
        (None, 200, "NoDecision", "The attempt ended without a decision."),
        ({"error": {"code": "InvalidFace", "message": "No face."}}, 400, "InvalidFace", "No face."),
        (REAL | {"error": {"code": "InvalidFace", "message": "x"}}, 200, "InvalidFace", "x"),
        (REAL | {"error": {"message": "Slow down."}}, 200, "Unspecified", "Slow down."),
        (REAL | {"error": {}}, 200, "Unspecified", "The attempt ended with status 200."),
        (REAL | {"error": "trouble"}, 200, "Unspecified", "The attempt ended with status 200."),
        (REAL | {"code": "InvalidFace"}, 200, "InvalidFace", "The attempt ended with status 200."),
        (
            REAL | {"error": None, "code": "InvalidFace"},
            200,
            "InvalidFace",
            "The attempt ended with status 200.",
        ),
        (REAL | {"code": 400}, 200, "Unspecified", "The attempt ended with status 200."),
        (REAL | {"statusCode": 429, "message": "Slow down."}, 200, "Unspecified", "Slow down."),
        (REAL | {"statusCode": 200}, 200, "Unspecified", "The attempt ended with status 200."),
        (REAL | {"message": "Slow down."}, 204, "Unspecified", "Slow down."),
        (REAL, 400, "Unspecified", "The attempt ended with status 400."),
        (REAL, 0, "Unspecified", "The attempt ended with status 0."),
        ("text", 500, "Unspecified", "The attempt ended with status 500."),
        ({"statusCode": 429, "message": "Slow down."}, 429, "Unspecified", "Slow down."),
    ],
)
def test_attempt_with_another_status_or_an_error_fails(
    body: object, status_code: int, code: str, message: str
) -> None:
    """A result is not a decision: an attempt with an error never passes."""
    result = read(with_result(body, status_code))
    assert result.status is SessionStatus.RESULT_AVAILABLE
    assert (result.decision, result.failure) == (None, Failure(code, message))


def test_null_counts_as_absent() -> None:
    """A null error means no error, and a session whose expiry is null is not expired."""
    errors = dict.fromkeys(("error", "code", "statusCode", "message"))
    assert read(with_result(REAL | errors)).decision is LivenessDecision.REALFACE
    assert read(with_result(REAL, digest="")).digest is None
    content = {"id": SESSION, "status": "Started", "sessionExpired": None, "result": None}
    assert read(content).status is SessionStatus.STARTED


def test_attempt_without_a_request_id_takes_that_of_this_call() -> None:
    """Where the attempt's own id is missing or unusable, the id of this call stands for it."""
    for request_id in (None, "two words"):
        result = read(with_result(REAL, requestId=request_id))
        assert result.request_id == "read-call"


@pytest.mark.parametrize(
    "content",
    [
        {},
        EXAMPLE | {"id": "b12e033e-bda7-4b83-a211-e721c661f30f"},
        {"sessionId": SESSION, "status": "Succeeded"},
        EXAMPLE | {"sessionExpired": "true"},
        {"id": SESSION, "status": "ResultAvailable", "sessionExpired": False},
        EXAMPLE | {"status": "ResultAvailable", "result": [], "sessionExpired": False},
        with_result(REAL, "200"),
        with_result({"livenessDecision": True}),
        with_result("realface"),
        with_result(REAL, digest="two words"),
        with_result(REAL, digest="a" * 129),
        with_result(REAL, sessionId="b12e033e-bda7-4b83-a211-e721c661f30f"),
    ],
    ids=lambda content: json.dumps(content)[:60],
)
def test_answer_that_is_not_the_contract_is_an_upstream_failure(content: object) -> None:
    """Another session, a missing result, a wrong type: an upstream failure, and no other exception."""
    with pytest.raises(UpstreamFailure):
        read(content)


@unhurried
@given(json_objects(REAL), st.integers())
def test_attempt_with_any_part_of_an_error_never_passes(body: dict[str, object], status_code: int) -> None:
    """Whatever else an attempt holds, it passes only without an error, and only where the phone's call succeeded."""
    try:
        result = read(with_result(body, status_code))
    except UpstreamFailure:
        return
    assert (result.decision is None) != (result.failure is None)
    if result.decision is LivenessDecision.REALFACE:
        assert status_code in (200, 204)
        assert {body.get(name) for name in ("error", "code", "statusCode", "message")} == {None}


assert VERSION.read_audit
READ_AUDIT = VERSION.read_audit
CANARY = "canary-7f3a91c2"
CANARY_TOKEN = "eyJhbGciOiJFUzI1NiIsIm.canary-7f3a91c2.x"

ENTRY: dict[str, Any] = EXAMPLE["result"] | {
    "response": {
        "body": {"livenessDecision": "realface", "modelVersionUsed": "2022-10-15-preview.04"},
        "statusCode": 200,
        "latencyInMilliseconds": 1200,
    }
}
READ = AuditEntry(
    id=4,
    at=1_709_636_849_698,
    request_id=ATTEMPT_REQUEST,
    client_request_id=ATTEMPT_REQUEST,
    method="POST",
    path="/face/v1.1-preview.1/detectliveness/singlemodal",
    status_code=200,
    latency=1200,
    decision=LivenessDecision.REALFACE,
    digest=DIGEST,
)


def read_audit(*entries: object) -> tuple[AuditEntry, ...]:
    return READ_AUDIT(response(200, json.dumps(entries).encode()), SESSION)


def test_published_audit_entry_is_read() -> None:
    """Each field that is passed on is where the specification has it."""
    assert read_audit(ENTRY) == (READ,)


def test_audit_entries_are_oldest_first() -> None:
    """Whatever order Face chooses, pages follow the ids."""
    assert [entry.id for entry in read_audit(ENTRY | {"id": 9}, ENTRY, ENTRY | {"id": 5})] == [4, 5, 9]


def test_audit_of_a_failed_attempt_has_its_error() -> None:
    """An error body is a failure, and no decision."""
    body = {"error": {"code": "FaceWithMaskDetected", "message": "A mask."}}
    (entry,) = read_audit(ENTRY | {"response": {"body": body, "statusCode": 400}})

    assert (entry.failure, entry.decision) == (Failure("FaceWithMaskDetected", "A mask."), None)
    assert (entry.status_code, entry.latency) == (400, None)


def test_null_in_an_audit_entry_counts_as_absent() -> None:
    """Only what has to be there is missed."""
    nothing = dict.fromkeys(("request", "clientRequestId", "requestId", "digest"))
    (entry,) = read_audit(ENTRY | nothing)
    assert entry == replace(
        READ, request_id=None, client_request_id=None, method=None, path=None, digest=None
    )


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-05T11:07:29.698+00:00",
        "2024-03-05T12:07:29.698+01:00",
        "2024-03-05T11:07:29.6980000Z",
        "2024-03-05T11:07:29.698",
    ],
)
def test_time_is_read_in_each_of_its_forms(text: str) -> None:
    """Offsets and longer fractions are the same moment; without a zone it is UTC."""
    assert read_audit(ENTRY | {"receivedDateTime": text}) == (READ,)


BODY = {"authToken": CANARY_TOKEN, "target": {"fileName": CANARY}, "verifyResult": {"verifyImage": CANARY}}


@pytest.mark.parametrize(
    "changed",
    [
        {"authToken": CANARY_TOKEN},
        {"deviceCorrelationId": CANARY},
        {"sessionImageId": CANARY, "verifyImageHash": CANARY},
        {"requestId": f"{CANARY_TOKEN} {CANARY}"},
        {"clientRequestId": CANARY},
        {"clientRequestId": CANARY_TOKEN},
        {"request": ENTRY["request"] | {"userAgent": CANARY, "contentType": CANARY, "x": CANARY_TOKEN}},
        {"request": {"url": f"/face/v1.1-preview.1/a?authToken={CANARY_TOKEN}"}},
        {"request": {"url": f"/face/v1.1-preview.1/{CANARY_TOKEN}"}},
        {"request": {"url": f"https://{CANARY}.example/face/v1.1-preview.1/a"}},
        {"request": {"url": f"/face/v1.1-preview.1/a#{CANARY}"}},
        {"request": {"method": CANARY}},
        {"response": {"statusCode": 200, "body": REAL | BODY}},
        {"response": {"statusCode": 200, "body": {"livenessDecision": CANARY}}},
    ],
    ids=repr,
)
def test_what_is_not_allow_listed_does_not_come_through(changed: dict[str, object]) -> None:
    """Tokens, device ids, images and free text of the phone stay where they are."""
    assert "canary" not in repr(read_audit(ENTRY | changed))


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY | {"sessionId": ATTEMPT_REQUEST},
        ENTRY | {"id": "4"},
        ENTRY | {"receivedDateTime": CANARY},
        ENTRY | {"receivedDateTime": "9999-12-31T23:59:59-23:00"},
        {name: ENTRY[name] for name in ENTRY if name != "response"},
        4,
    ],
    ids=["another session", "id is text", "no time", "time beyond all", "no response", "no object"],
)
def test_entry_that_breaks_the_contract_is_an_upstream_failure(entry: object) -> None:
    """A partial audit is refused; and the failure's text repeats nothing of the entry."""
    with pytest.raises(UpstreamFailure) as failure:
        read_audit(ENTRY, entry)
    assert "canary" not in str(failure.value)


def test_audit_that_is_not_an_array_is_an_upstream_failure() -> None:
    """The operation answers a bare array."""
    with pytest.raises(UpstreamFailure):
        READ_AUDIT(response(200, json.dumps(ENTRY).encode()), SESSION)
