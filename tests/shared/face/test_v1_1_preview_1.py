import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face import v1_1_preview_1
from shared.face.answers import UpstreamRequest, UpstreamResponse
from shared.face.model import (
    AuditEntry,
    AuditPage,
    CreatedSession,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from tests.shared.face.doubles import NOT_IDS, SESSION, TOKEN, response
from tests.shared.face.json_values import json_objects, unhurried

ROOT = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
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
    return v1_1_preview_1.read_result(response(200, json.dumps(content).encode(), headers), SESSION)


def test_create_is_the_documented_request() -> None:
    """The seed's request goes to the seed's path, with every default written out."""
    spec = SessionSpec(LivenessMode.PASSIVE, "723d6d03-ef33-40a8-9682-23a1feb7bccd", 600)
    assert v1_1_preview_1.create_request(spec) == UpstreamRequest(
        "POST",
        ROOT,
        {
            "livenessOperationMode": "Passive",
            "deviceCorrelationId": "723d6d03-ef33-40a8-9682-23a1feb7bccd",
            "authTokenTimeToLiveInSeconds": 600,
            "sendResultsToClient": False,
            "deviceCorrelationIdSetInClient": False,
        },
    )


def test_create_without_device_id_leaves_it_to_the_client() -> None:
    """Where the client sets its device id, there is none in the body; results go to the client where asked for."""
    spec = SessionSpec(LivenessMode.PASSIVE, None, 60, send_results_to_client=True)
    assert v1_1_preview_1.create_request(spec).json == {
        "livenessOperationMode": "Passive",
        "authTokenTimeToLiveInSeconds": 60,
        "sendResultsToClient": True,
        "deviceCorrelationIdSetInClient": True,
    }


def test_result_and_delete_name_the_session_in_the_path() -> None:
    """A session is read and deleted under its own path."""
    assert v1_1_preview_1.result_request(SESSION) == UpstreamRequest("GET", f"{ROOT}/{SESSION}")
    assert v1_1_preview_1.delete_request(SESSION) == UpstreamRequest("DELETE", f"{ROOT}/{SESSION}")


def test_documented_answer_to_create_is_read() -> None:
    """The seed's answer gives session id and token, and the token is in no repr."""
    body = b'{"sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e", "authToken": "eyJhbGciOiJFUzI1NiIsIm"}'
    created = v1_1_preview_1.read_created(response(200, body))
    assert created == CreatedSession(SESSION, TOKEN)
    assert TOKEN not in repr(created)


@pytest.mark.parametrize(
    "content",
    [
        {"sessionId": SESSION},
        {"authToken": TOKEN},
        {"sessionId": "../other", "authToken": TOKEN},
        {"sessionId": SESSION.upper(), "authToken": TOKEN},
        {"sessionId": f"{SESSION}\n", "authToken": TOKEN},
        {"sessionId": 5, "authToken": TOKEN},
        {"sessionId": SESSION, "authToken": ""},
        {"sessionId": SESSION, "authToken": None},
        {"sessionId": SESSION, "authToken": "two words"},
        {"sessionId": SESSION, "authToken": f"{TOKEN}\n"},
        {"sessionId": SESSION, "authToken": "tökén"},
        {"sessionId": SESSION, "authToken": "a" * 4097},
        {"error": {"code": "x"}},
    ],
    ids=repr,
)
def test_unusable_answer_to_create_is_an_upstream_failure(content: object) -> None:
    """Without a GUID as id and a bounded token of printable ASCII there is no session."""
    with pytest.raises(UpstreamFailure):
        v1_1_preview_1.read_created(response(200, json.dumps(content).encode()))


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


def test_unknown_status_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A status that nobody knows leaves a warning, on one line."""
    read({"id": SESSION, "status": "Something\nnew", "sessionExpired": False})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert json.loads(record.getMessage()) == {"event": "face_status_unknown", "status": "Something new"}


def test_published_example_is_not_a_result() -> None:
    """The specification's own example has a result under the status NotStarted: the status decides."""
    assert read(EXAMPLE) == SessionResult(SessionStatus.EXPIRED, request_id="read-call")


@pytest.mark.parametrize("status_code", [200, 204])
@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("realface", LivenessDecision.REALFACE),
        ("realFace", LivenessDecision.REALFACE),
        ("spoofface", LivenessDecision.SPOOFFACE),
        ("Uncertain", LivenessDecision.UNCERTAIN),
    ],
)
def test_decision_is_read_whatever_its_case(text: str, decision: LivenessDecision, status_code: int) -> None:
    """An attempt that succeeded has a decision, also where the phone itself got an empty answer."""
    assert read(with_result({"livenessDecision": text}, status_code)) == SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        attempts=1,
        decision=decision,
        digest=DIGEST,
        request_id=ATTEMPT_REQUEST,
    )


@pytest.mark.parametrize(
    ("body", "status_code", "failure"),
    [
        ({}, 200, Failure("NoDecision", "The attempt ended without a decision.")),
        (None, 200, Failure("NoDecision", "The attempt ended without a decision.")),
        (
            {"livenessDecision": "real"},
            200,
            Failure("UnknownDecision", "The attempt ended with a decision that is not known."),
        ),
        (
            {"livenessDecision": " realface"},
            200,
            Failure("UnknownDecision", "The attempt ended with a decision that is not known."),
        ),
        (
            {"error": {"code": "InvalidFace", "message": "No face.\nReally."}},
            400,
            Failure("InvalidFace", "No face. Really."),
        ),
        (
            {"error": {"code": "InvalidFace", "message": "No face."}, "livenessDecision": "realface"},
            200,
            Failure("InvalidFace", "No face."),
        ),
        (
            {"error": {"message": "Slow down."}, "livenessDecision": "realface"},
            200,
            Failure("Unspecified", "Slow down."),
        ),
        (
            {"error": {}, "livenessDecision": "realface"},
            200,
            Failure("Unspecified", "The attempt ended with status 200."),
        ),
        (
            {"error": "trouble", "livenessDecision": "realface"},
            200,
            Failure("Unspecified", "The attempt ended with status 200."),
        ),
        ({"livenessDecision": "realface"}, 400, Failure("Unspecified", "The attempt ended with status 400.")),
        ({"livenessDecision": "realface"}, 0, Failure("Unspecified", "The attempt ended with status 0.")),
        ("text", 500, Failure("Unspecified", "The attempt ended with status 500.")),
        ({"statusCode": 429, "message": "Slow down."}, 429, Failure("Unspecified", "Slow down.")),
        (
            {"error": {"code": "two words", "message": "x" * 1000}},
            400,
            Failure("Unspecified", "x" * 256),
        ),
    ],
)
def test_attempt_without_a_good_decision_is_a_failure(
    body: object, status_code: int, failure: Failure
) -> None:
    """A result is not a decision: another status, an error or an unknown value fails, in words that can be shown."""
    result = read(with_result(body, status_code))
    assert (result.status, result.decision, result.failure) == (
        SessionStatus.RESULT_AVAILABLE,
        None,
        failure,
    )


def test_attempt_whose_error_is_null_passes() -> None:
    """Where there is no error, a null says no more than leaving it out."""
    assert (
        read(with_result({"livenessDecision": "realface", "error": None})).decision
        is LivenessDecision.REALFACE
    )


def test_attempt_without_a_request_id_takes_that_of_this_call() -> None:
    """Where the attempt's own id is missing or unusable, the id of this call stands for it."""
    for request_id in (None, "two words"):
        result = read(with_result({"livenessDecision": "realface"}, requestId=request_id))
        assert result.request_id == "read-call"


@pytest.mark.parametrize(
    "content",
    [
        {},
        EXAMPLE | {"id": "b12e033e-bda7-4b83-a211-e721c661f30f"},
        EXAMPLE | {"id": None},
        {"sessionId": SESSION, "status": "Succeeded"},
        EXAMPLE | {"status": None},
        EXAMPLE | {"status": 3},
        EXAMPLE | {"sessionExpired": "true"},
        EXAMPLE | {"sessionExpired": 1},
        {"id": SESSION, "status": "ResultAvailable", "sessionExpired": False},
        EXAMPLE | {"status": "ResultAvailable", "result": [], "sessionExpired": False},
        EXAMPLE | {"status": "ResultAvailable", "result": "realface"},
        with_result({"livenessDecision": "realface"}, "200"),
        with_result({"livenessDecision": "realface"}, 200.0),
        with_result({"livenessDecision": "realface"}, None),
        with_result({"livenessDecision": True}),
        with_result({"livenessDecision": ["realface"]}),
        with_result("realface"),
        with_result(["realface"]),
        with_result({"livenessDecision": "realface"}, digest=5),
        with_result({"livenessDecision": "realface"}, digest="two words"),
        with_result({"livenessDecision": "realface"}, digest="a" * 129),
        with_result({"livenessDecision": "realface"}, sessionId="b12e033e-bda7-4b83-a211-e721c661f30f"),
        with_result({"livenessDecision": "realface"}, sessionId=None),
    ],
    ids=lambda content: json.dumps(content)[:60],
)
def test_answer_that_is_not_the_contract_is_an_upstream_failure(content: object) -> None:
    """Another session, a missing result, a wrong type: an upstream failure, and no other exception."""
    with pytest.raises(UpstreamFailure):
        read(content)


@unhurried
@given(json_objects({"id": SESSION, "status": "ResultAvailable", "response": {"statusCode": 200}}))
def test_any_json_is_a_result_or_an_upstream_failure(content: object) -> None:
    """Whatever Face answers is understood, or is an upstream failure."""
    answered = UpstreamResponse(200, {"content-type": "application/json"}, json.dumps(content).encode())
    try:
        result = v1_1_preview_1.read_result(answered, SESSION)
    except UpstreamFailure:
        return
    final = result.status is SessionStatus.RESULT_AVAILABLE
    assert final == ((result.decision is None) != (result.failure is None))


@unhurried
@given(st.text())
def test_any_decision_that_passes_is_realface(text: str) -> None:
    """No text but `realface`, in whatever case, is read as the decision that can pass."""
    result = read(with_result({"livenessDecision": text}))
    assert (result.decision is LivenessDecision.REALFACE) == (text.lower() == "realface")


assert v1_1_preview_1.AUDIT
AUDIT = v1_1_preview_1.AUDIT
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
    return AUDIT.read(response(200, json.dumps(entries).encode()), SESSION)


def test_audit_request_is_the_documented_one() -> None:
    """The page is asked for with both parameters, under the session's own path."""
    root = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
    assert AUDIT.request(SESSION, AuditPage(3, 7)) == UpstreamRequest(
        "GET", f"{root}/{SESSION}/audit?start=3&top=7"
    )


@pytest.mark.parametrize("session_id", NOT_IDS)
def test_audit_request_for_another_text_than_an_id_is_not_made(session_id: str) -> None:
    """No text leads the URL elsewhere."""
    with pytest.raises(UpstreamSessionGone):
        AUDIT.request(session_id, AuditPage())


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


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"authToken": CANARY_TOKEN}, id="token"),
        pytest.param({"deviceCorrelationId": CANARY}, id="device"),
        pytest.param({"sessionImageId": CANARY, "verifyImageHash": CANARY}, id="images"),
        pytest.param({"requestId": f"{CANARY_TOKEN} {CANARY}"}, id="request id"),
        pytest.param({"clientRequestId": CANARY}, id="client request id"),
        pytest.param({"clientRequestId": CANARY_TOKEN}, id="token as client request id"),
        pytest.param(
            {
                "request": ENTRY["request"]
                | {
                    "userAgent": CANARY,
                    "contentType": f"multipart/form-data; boundary={CANARY}",
                    "x": CANARY_TOKEN,
                }
            },
            id="headers",
        ),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/a?authToken={CANARY_TOKEN}"}}, id="query"),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/{CANARY_TOKEN}"}}, id="token in the path"),
        pytest.param({"request": {"url": f"https://{CANARY}.example/face/v1.1-preview.1/a"}}, id="host"),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/a#{CANARY}"}}, id="fragment"),
        pytest.param({"request": {"method": CANARY}}, id="method"),
        pytest.param(
            {
                "response": {
                    "statusCode": 200,
                    "body": {
                        "livenessDecision": "realface",
                        "authToken": CANARY_TOKEN,
                        "target": {"fileName": CANARY, "imageUrl": CANARY},
                        "verifyResult": {"verifyImage": CANARY},
                    },
                }
            },
            id="body",
        ),
        pytest.param(
            {"response": {"statusCode": 200, "body": {"livenessDecision": CANARY}}}, id="unknown decision"
        ),
    ],
)
def test_what_is_not_allow_listed_does_not_come_through(changed: dict[str, object]) -> None:
    """Tokens, device ids, images and free text of the phone stay where they are."""
    assert "canary" not in repr(read_audit(ENTRY | changed))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(ENTRY | {"sessionId": ATTEMPT_REQUEST}, id="of another session"),
        pytest.param(ENTRY | {"id": "4"}, id="id is text"),
        pytest.param(ENTRY | {"id": None}, id="no id"),
        pytest.param(ENTRY | {"receivedDateTime": CANARY}, id="no time"),
        pytest.param(ENTRY | {"receivedDateTime": "9999-12-31T23:59:59-23:00"}, id="time beyond all"),
        pytest.param({name: ENTRY[name] for name in ENTRY if name != "response"}, id="no response"),
        pytest.param(4, id="no object"),
    ],
)
def test_entry_that_breaks_the_contract_is_an_upstream_failure(entry: object) -> None:
    """Half an audit is none; and the failure's text repeats nothing of the entry."""
    with pytest.raises(UpstreamFailure) as failure:
        read_audit(ENTRY, entry)
    assert "canary" not in str(failure.value)


def test_audit_that_is_not_an_array_is_an_upstream_failure() -> None:
    """The operation answers a bare array."""
    with pytest.raises(UpstreamFailure):
        AUDIT.read(response(200, json.dumps(ENTRY).encode()), SESSION)


@unhurried
@given(entry=json_objects(ENTRY))
def test_any_entry_is_read_or_refused(entry: dict[str, object]) -> None:
    """No JSON raises anything else, and what is read is about the session that was asked for."""
    try:
        read_audit(entry)
    except UpstreamFailure:
        return
    assert entry["sessionId"] == SESSION
