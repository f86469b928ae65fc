import json
from dataclasses import replace
from typing import Any

import pytest

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
from tests.shared.face.doubles import SESSION
from tests.support.http import answer_of

VERSION = v1_1_preview_1.VERSION
REAL = {"livenessDecision": "realface"}
DIGEST = "1CC98BA83EAF1D0FF7F566FAEFCCCC787819FFA01251E2D9299143F7AD6651DB"
ATTEMPT_REQUEST = "4af681e9-0e25-43e9-9922-a7adebf13b2f"
OTHER_SESSION = "b12e033e-bda7-4b83-a211-e721c661f30f"

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


def standing(status: str, expired: bool | None) -> dict[str, Any]:
    return {"id": SESSION, "status": status, "sessionExpired": expired}


def read(content: object) -> SessionResult:
    headers = {"apim-request-id": "read-call"}
    return VERSION.read_result(answer_of(200, json.dumps(content).encode(), headers), SESSION)


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
    ("content", "expected"),
    [
        (standing("NotStarted", False), SessionStatus.NOT_STARTED),
        (standing("Started", False), SessionStatus.STARTED),
        (standing("Started", None) | {"result": None}, SessionStatus.STARTED),
        (standing("NotStarted", True), SessionStatus.EXPIRED),
        (standing("Started", True), SessionStatus.EXPIRED),
        (standing("ResultAvailable", True), SessionStatus.EXPIRED),
        (standing("SomethingNew", False), SessionStatus.STARTED),
        (standing("resultavailable", False), SessionStatus.STARTED),
        (EXAMPLE, SessionStatus.EXPIRED),
    ],
)
def test_session_without_result_stands_as_its_status_says(content: object, expected: SessionStatus) -> None:
    """It is expired where Face says so, also in the published example; an unknown status is not final."""
    assert read(content) == SessionResult(expected, request_id="read-call")


NULLS = dict.fromkeys(("error", "code", "statusCode", "message"))


@pytest.mark.parametrize(("body", "status_code"), [(REAL, 200), (REAL, 204), (REAL | NULLS, 200)])
def test_attempt_that_succeeded_has_its_decision(body: object, status_code: int) -> None:
    """The phone itself may have got an empty answer. An error that is null counts as absent."""
    assert read(with_result(body, status_code)) == SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        1,
        LivenessDecision.REALFACE,
        DIGEST,
        request_id=ATTEMPT_REQUEST,
        decisions=((1, "realface"),),
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
    ],
)
def test_attempt_with_another_status_or_an_error_fails(
    body: object, status_code: int, code: str, message: str
) -> None:
    """A result is not a decision: an attempt with an error never passes."""
    result = read(with_result(body, status_code))
    assert result.status is SessionStatus.RESULT_AVAILABLE
    assert (result.decision, result.failure) == (None, Failure(code, message))


@pytest.mark.parametrize("request_id", [None, "two words", "a" * 129])
def test_attempt_without_a_request_id_takes_that_of_this_call(request_id: str | None) -> None:
    assert read(with_result(REAL, requestId=request_id)).request_id == "read-call"


@pytest.mark.parametrize(
    "content",
    [
        {},
        EXAMPLE | {"id": OTHER_SESSION},
        {"sessionId": SESSION, "status": "Succeeded"},
        EXAMPLE | {"sessionExpired": "true"},
        standing("ResultAvailable", False),
        EXAMPLE | {"status": "ResultAvailable", "result": [], "sessionExpired": False},
        with_result(REAL, "200"),
        with_result({"livenessDecision": True}),
        with_result("realface"),
        with_result(REAL, digest="two words"),
        with_result(REAL, sessionId=OTHER_SESSION),
    ],
    ids=lambda content: json.dumps(content)[:60],
)
def test_answer_that_is_not_the_contract_is_an_upstream_failure(content: object) -> None:
    with pytest.raises(UpstreamFailure):
        read(content)


assert VERSION.read_audit
READ_AUDIT = VERSION.read_audit
CANARY = "canary-7f3a91c2"
CANARY_TOKEN = "eyJhbGciOiJFUzI1NiIsIm.canary-7f3a91c2.x"

ANSWERED = {"body": REAL | {"modelVersionUsed": "2022-10-15-preview.04"}, "statusCode": 200}
ENTRY: dict[str, Any] = EXAMPLE["result"] | {"response": ANSWERED | {"latencyInMilliseconds": 1200}}
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
BARE = replace(READ, request_id=None, client_request_id=None, method=None, path=None, digest=None)
MASK = Failure("FaceWithMaskDetected", "A mask.")
FAILED = {"body": {"error": {"code": MASK.code, "message": MASK.message}}, "statusCode": 400}


def read_audit(*entries: object) -> tuple[AuditEntry, ...]:
    return READ_AUDIT(answer_of(200, json.dumps(entries).encode()), SESSION)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, READ),
        (dict.fromkeys(("request", "clientRequestId", "requestId", "digest")), BARE),
        ({"response": FAILED}, replace(READ, status_code=400, latency=None, decision=None, failure=MASK)),
        ({"receivedDateTime": "2024-03-05T11:07:29.698+00:00"}, READ),
        ({"receivedDateTime": "2024-03-05T12:07:29.698+01:00"}, READ),
        ({"receivedDateTime": "2024-03-05T11:07:29.6980000Z"}, READ),
        ({"receivedDateTime": "2024-03-05T11:07:29.698"}, READ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_audit_entry_is_read(changed: dict[str, object], expected: AuditEntry) -> None:
    """Each field is where the published entry has it; null counts as absent, and a time without a zone is UTC."""
    assert read_audit(ENTRY | changed) == (expected,)


def test_audit_entries_are_oldest_first() -> None:
    """Whatever order Face chooses, pages follow the ids."""
    assert [entry.id for entry in read_audit(ENTRY | {"id": 9}, ENTRY, ENTRY | {"id": 5})] == [4, 5, 9]


BODY = {"authToken": CANARY_TOKEN, "target": {"fileName": CANARY}, "verifyResult": {"verifyImage": CANARY}}
PATH = "/face/v1.1-preview.1/a"


@pytest.mark.parametrize(
    "changed",
    [
        {"authToken": CANARY_TOKEN, "deviceCorrelationId": CANARY},
        {"sessionImageId": CANARY, "verifyImageHash": CANARY},
        {"requestId": f"{CANARY_TOKEN} {CANARY}"},
        *({"clientRequestId": text} for text in (CANARY, CANARY_TOKEN)),
        {"request": ENTRY["request"] | {"userAgent": CANARY, "contentType": CANARY, "x": CANARY_TOKEN}},
        *({"request": {"url": f"{PATH}{end}"}} for end in (f"?authToken={CANARY_TOKEN}", f"#{CANARY}")),
        *(
            {"request": {"url": url}}
            for url in (f"/face/v1.2/{CANARY_TOKEN}", f"https://{CANARY}.example{PATH}")
        ),
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
    "content",
    [
        ENTRY,
        [ENTRY, 4],
        [ENTRY, {name: ENTRY[name] for name in ENTRY if name != "response"}],
        *(
            [ENTRY, ENTRY | changed]
            for changed in (
                {"sessionId": ATTEMPT_REQUEST},
                {"id": "4"},
                {"id": -1},
                {"id": 2**63},
                {"receivedDateTime": CANARY},
                {"receivedDateTime": "9999-12-31T23:59:59-23:00"},
            )
        ),
    ],
    ids=lambda content: json.dumps(content)[-60:],
)
def test_audit_that_breaks_the_contract_is_an_upstream_failure(content: object) -> None:
    """A partial audit is refused; and the failure's text repeats nothing of it."""
    with pytest.raises(UpstreamFailure) as failure:
        READ_AUDIT(answer_of(200, json.dumps(content).encode()), SESSION)
    assert "canary" not in str(failure.value)


SPOOFED = {"body": {"livenessDecision": "spoofface"}, "statusCode": 200}
STRANGE = {"body": {"livenessDecision": "deepfake"}, "statusCode": 200}


@pytest.mark.parametrize(
    ("responses", "decisions", "may_retry"),
    [
        ([ANSWERED], ((1, "realface"),), False),
        ([SPOOFED, SPOOFED, ANSWERED], ((1, "spoofface"), (2, "spoofface"), (3, "realface")), False),
        ([STRANGE, FAILED, ANSWERED], ((1, "unknown"), (3, "realface")), False),
        ([STRANGE], ((1, "unknown"),), False),
        ([FAILED], (), True),
        ([FAILED, FAILED], (), True),
        ([FAILED, FAILED, FAILED], (), False),
    ],
)
def test_audit_tells_of_every_attempt(
    responses: list[dict[str, Any]], decisions: tuple[tuple[int, str], ...], may_retry: bool
) -> None:
    """The result shows the last attempt alone. The audit adds the others, and does not change its outcome.

    An attempt without a decision may be followed by another, up to three in all while the token is valid. Any decision
    is the last, also one that is not known.
    """
    assert VERSION.with_audit
    latest = with_result(responses[-1]["body"], responses[-1]["statusCode"])
    entries = read_audit(*(ENTRY | {"id": n, "response": one} for n, one in enumerate(responses, 1)))
    expected = replace(
        read(latest | {"sessionExpired": False}),
        attempts=len(responses),
        decisions=decisions,
        may_retry=may_retry,
    )

    assert VERSION.with_audit(read(latest | {"sessionExpired": False}), entries) == expected
    assert VERSION.with_audit(read(latest), entries) == replace(expected, may_retry=False)


def test_empty_audit_changes_nothing() -> None:
    assert VERSION.with_audit
    result = read(with_result(REAL))
    assert VERSION.with_audit(result, ()) == result
