"""How the audit entries of v1.1-preview.1 are asked for and read: by allow-list."""

import json
from typing import Any

import pytest
from hypothesis import given

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face import v1_1_preview_1
from shared.face.model import AuditEntry, AuditPage, Failure, LivenessDecision
from shared.face.wire import UpstreamRequest
from tests.shared.face.doubles import NOT_IDS, SESSION, response
from tests.shared.face.json_values import json_objects, unhurried

CANARY = "canary-7f3a91c2"
TOKEN = "eyJhbGciOiJFUzI1NiIsIm.canary-7f3a91c2.x"
DIGEST = "1CC98BA83EAF1D0FF7F566FAEFCCCC787819FFA01251E2D9299143F7AD6651DB"
REQUEST = "4af681e9-0e25-43e9-9922-a7adebf13b2f"

# The published example of the specification.
EXAMPLE: dict[str, Any] = {
    "id": 4,
    "sessionId": SESSION,
    "requestId": REQUEST,
    "clientRequestId": REQUEST,
    "receivedDateTime": "2024-03-05T11:07:29.698Z",
    "request": {
        "url": "/face/v1.1-preview.1/detectliveness/singlemodal",
        "method": "POST",
        "contentLength": 18,
        "contentType": "multipart/form-data",
    },
    "response": {
        "body": {"livenessDecision": "realface", "modelVersionUsed": "2022-10-15-preview.04"},
        "statusCode": 200,
        "latencyInMilliseconds": 1200,
    },
    "digest": DIGEST,
}
READ = AuditEntry(
    id=4,
    at=1_709_636_849_698,
    request_id=REQUEST,
    client_request_id=REQUEST,
    method="POST",
    path="/face/v1.1-preview.1/detectliveness/singlemodal",
    status_code=200,
    latency=1200,
    decision=LivenessDecision.REALFACE,
    digest=DIGEST,
)


def read(*entries: object) -> tuple[AuditEntry, ...]:
    return v1_1_preview_1.read_audit(response(200, json.dumps(entries).encode()), SESSION)


def test_request_is_the_documented_one() -> None:
    """The page is asked for with both parameters, under the session's own path."""
    root = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
    assert v1_1_preview_1.audit_request(SESSION, AuditPage(3, 7)) == UpstreamRequest(
        "GET", f"{root}/{SESSION}/audit?start=3&top=7"
    )


@pytest.mark.parametrize("session_id", NOT_IDS)
def test_request_for_what_is_no_id_is_not_made(session_id: str) -> None:
    """No text leads the URL elsewhere."""
    with pytest.raises(UpstreamSessionGone):
        v1_1_preview_1.audit_request(session_id, AuditPage())


def test_published_example_is_read() -> None:
    """Each field that is passed on is where the specification has it."""
    assert read(EXAMPLE) == (READ,)


def test_entries_are_the_oldest_first() -> None:
    """Whatever order Face chooses, pages follow the ids."""
    assert [entry.id for entry in read(EXAMPLE | {"id": 9}, EXAMPLE, EXAMPLE | {"id": 5})] == [4, 5, 9]


def test_attempt_that_failed_has_its_error() -> None:
    """An error body is a failure, and no decision."""
    body = {"error": {"code": "FaceWithMaskDetected", "message": "A mask."}}
    (entry,) = read(EXAMPLE | {"response": {"body": body, "statusCode": 400}})

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
    assert read(EXAMPLE | {"receivedDateTime": text}) == (READ,)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"authToken": TOKEN}, id="token"),
        pytest.param({"deviceCorrelationId": CANARY}, id="device"),
        pytest.param({"sessionImageId": CANARY, "verifyImageHash": CANARY}, id="images"),
        pytest.param({"requestId": f"{TOKEN} {CANARY}"}, id="request id"),
        pytest.param({"clientRequestId": CANARY}, id="client request id"),
        pytest.param({"clientRequestId": TOKEN}, id="token as client request id"),
        pytest.param(
            {
                "request": EXAMPLE["request"]
                | {"userAgent": CANARY, "contentType": f"multipart/form-data; boundary={CANARY}", "x": TOKEN}
            },
            id="headers",
        ),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/a?authToken={TOKEN}"}}, id="query"),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/{TOKEN}"}}, id="token in the path"),
        pytest.param({"request": {"url": f"https://{CANARY}.example/face/v1.1-preview.1/a"}}, id="host"),
        pytest.param({"request": {"url": f"/face/v1.1-preview.1/a#{CANARY}"}}, id="fragment"),
        pytest.param({"request": {"method": CANARY}}, id="method"),
        pytest.param(
            {
                "response": {
                    "statusCode": 200,
                    "body": {
                        "livenessDecision": "realface",
                        "authToken": TOKEN,
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
    assert "canary" not in repr(read(EXAMPLE | changed))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(EXAMPLE | {"sessionId": REQUEST}, id="of another session"),
        pytest.param(EXAMPLE | {"id": "4"}, id="id is text"),
        pytest.param(EXAMPLE | {"id": None}, id="no id"),
        pytest.param(EXAMPLE | {"receivedDateTime": CANARY}, id="no time"),
        pytest.param(EXAMPLE | {"receivedDateTime": "9999-12-31T23:59:59-23:00"}, id="time beyond all"),
        pytest.param({name: EXAMPLE[name] for name in EXAMPLE if name != "response"}, id="no response"),
        pytest.param(4, id="no object"),
    ],
)
def test_entry_that_breaks_the_contract_is_an_upstream_failure(entry: object) -> None:
    """Half an audit is none; and the failure's text repeats nothing of the entry."""
    with pytest.raises(UpstreamFailure) as failure:
        read(EXAMPLE, entry)
    assert "canary" not in str(failure.value)


def test_answer_that_is_no_array_is_an_upstream_failure() -> None:
    """The operation answers a bare array."""
    with pytest.raises(UpstreamFailure):
        v1_1_preview_1.read_audit(response(200, json.dumps(EXAMPLE).encode()), SESSION)


@unhurried
@given(entry=json_objects(EXAMPLE))
def test_any_entry_is_read_or_refused(entry: dict[str, object]) -> None:
    """No JSON raises anything else, and what is read is about the session that was asked for."""
    try:
        read(entry)
    except UpstreamFailure:
        return
    assert entry["sessionId"] == SESSION
