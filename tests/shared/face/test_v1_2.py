import itertools
import json
from typing import Any

import pytest
from hypothesis import given

from shared.errors import UpstreamFailure
from shared.face import v1_2, v1_3_preview_1
from shared.face.answers import UpstreamRequest, UpstreamResponse
from shared.face.client import ApiVersion
from shared.face.model import (
    CreatedSession,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from tests.shared.face.doubles import SESSION, TOKEN, response
from tests.shared.face.json_values import json_objects, unhurried

DIGEST = "B0A803BB7B26F3C8F29CD36030F8E63ED3FAF955FEEF8E01C88AB8FD89CCF761"
MASK = {
    "attemptId": 1,
    "attemptStatus": "Failed",
    "error": {"code": "FaceWithMaskDetected", "message": "Mask detected on face image.", "targets": {}},
}
REAL = {
    "attemptId": 2,
    "attemptStatus": "Succeeded",
    "result": {"livenessDecision": "realface", "digest": DIGEST, "targets": {"color": {}}},
}
SPOOF = REAL | {"result": {"livenessDecision": "spoofface", "digest": DIGEST}}

versions = pytest.mark.parametrize("version", [v1_2, v1_3_preview_1], ids=lambda version: version.API_VERSION)


def session(status: object, *attempts: object, **changed: object) -> dict[str, Any]:
    return {
        "sessionId": SESSION,
        "authToken": "canary-token",
        "status": status,
        "modelVersion": "2024-11-15",
        "results": {"attempts": list(attempts)},
    } | changed


def read(content: object) -> SessionResult:
    headers = {"apim-request-id": "read-call"}
    return v1_2.read_result(response(200, json.dumps(content).encode(), headers), SESSION)


@versions
def test_create_is_the_documented_request(version: ApiVersion) -> None:
    """No image is kept, and results cannot go to the client, whatever was asked for."""
    spec = SessionSpec(LivenessMode.PASSIVE_ACTIVE, "device", 60, send_results_to_client=True)
    assert version.create_request(spec) == UpstreamRequest(
        "POST",
        f"/face/{version.API_VERSION}/detectLiveness-sessions",
        {
            "livenessOperationMode": "PassiveActive",
            "deviceCorrelationId": "device",
            "authTokenTimeToLiveInSeconds": 60,
            "deviceCorrelationIdSetInClient": False,
            "enableSessionImage": False,
        },
    )


@versions
def test_create_without_device_id_leaves_it_to_the_client(version: ApiVersion) -> None:
    """Where the client sets its device id, there is none in the body."""
    assert version.create_request(SessionSpec(LivenessMode.PASSIVE, None, 600)).json == {
        "livenessOperationMode": "Passive",
        "authTokenTimeToLiveInSeconds": 600,
        "deviceCorrelationIdSetInClient": True,
        "enableSessionImage": False,
    }


@versions
def test_result_and_delete_name_the_session_in_the_path(version: ApiVersion) -> None:
    """A session is read and deleted under its own path."""
    path = f"/face/{version.API_VERSION}/detectLiveness-sessions/{SESSION}"
    assert version.result_request(SESSION) == UpstreamRequest("GET", path)
    assert version.delete_request(SESSION) == UpstreamRequest("DELETE", path)


def test_answer_to_create_is_read_from_the_full_session() -> None:
    """The answer to a create is a whole session here, of which id and token are taken."""
    content = session("NotStarted", authToken=TOKEN)
    created = v1_2.read_created(response(200, json.dumps(content).encode()))
    assert created == CreatedSession(SESSION, TOKEN)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("NotStarted", SessionStatus.NOT_STARTED),
        ("Running", SessionStatus.STARTED),
        ("SomethingNew", SessionStatus.STARTED),
    ],
)
def test_session_that_goes_on_has_no_decision(status: str, expected: SessionStatus) -> None:
    """Before the end there is no decision, however attempts ended so far; an unknown status is not the end."""
    assert read(session(status)) == SessionResult(expected, request_id="read-call")
    assert read(session(status, REAL, MASK)) == SessionResult(expected, attempts=2, request_id="read-call")


def test_status_of_the_other_version_is_unknown_here(caplog: pytest.LogCaptureFixture) -> None:
    """v1.1's ResultAvailable is nothing that v1.2 says: not final, and a warning."""
    assert read(session("ResultAvailable", REAL)).status is SessionStatus.STARTED
    assert "face_status_unknown" in caplog.text


@pytest.mark.parametrize(
    "attempts", list(itertools.permutations([MASK, REAL])), ids=["older first", "newer first"]
)
def test_highest_attempt_counts_in_whatever_order(attempts: tuple[dict[str, Any], ...]) -> None:
    """Examples list the newest attempt first, tutorials take the last: the highest id counts."""
    assert read(session("Succeeded", *attempts)) == SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        attempts=2,
        decision=LivenessDecision.REALFACE,
        digest=DIGEST,
        request_id="read-call",
    )


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])), ids=repr)
def test_earlier_pass_does_not_count(order: tuple[int, ...]) -> None:
    """A pass in an earlier attempt is nothing when a later one was a spoof."""
    by_id = {1: REAL | {"attemptId": 1}, 2: MASK | {"attemptId": 2}, 3: SPOOF | {"attemptId": 3}}
    result = read(session("Succeeded", *(by_id[number] for number in order)))
    assert (result.attempts, result.decision) == (3, LivenessDecision.SPOOFFACE)


@pytest.mark.parametrize("text", ["realface", "realFace", "REALFACE"])
def test_decision_is_read_whatever_its_case(text: str) -> None:
    """A published example has `realFace`."""
    attempt = REAL | {"result": {"livenessDecision": text, "digest": None}}
    assert read(session("Succeeded", attempt)).decision is LivenessDecision.REALFACE


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        (session("Failed", MASK), Failure("FaceWithMaskDetected", "Mask detected on face image.")),
        (
            session("Succeeded", REAL | {"attemptId": 0}, MASK),
            Failure("FaceWithMaskDetected", "Mask detected on face image."),
        ),
        (session("Failed"), Failure("Failed", "The attempt ended with Failed.")),
        (session("Failed", results=None), Failure("Failed", "The attempt ended with Failed.")),
        (session("Failed", REAL), Failure("Failed", "The attempt ended with Failed.")),
        (session("Canceled"), Failure("Canceled", "The attempt ended with Canceled.")),
        (session("Canceled", REAL), Failure("Canceled", "The attempt ended with Canceled.")),
        (session("Canceled", MASK), Failure("FaceWithMaskDetected", "Mask detected on face image.")),
        (
            session("Succeeded", REAL | {"attemptStatus": "Running"}),
            Failure("Running", "The attempt ended with Running."),
        ),
        (
            session("Succeeded", REAL | {"attemptStatus": "two\nwords"}),
            Failure("Unspecified", "The attempt ended with two words."),
        ),
        (
            session("Succeeded", REAL | {"attemptStatus": "succeeded"}),
            Failure("succeeded", "The attempt ended with succeeded."),
        ),
        (
            session("Succeeded", REAL | {"result": {"livenessDecision": "real"}}),
            Failure("UnknownDecision", "The attempt ended with a decision that is not known."),
        ),
        (
            session("Succeeded", REAL | {"result": {}}),
            Failure("NoDecision", "The attempt ended without a decision."),
        ),
        (
            session("Succeeded", REAL | {"result": None, "error": None}),
            Failure("NoDecision", "The attempt ended without a decision."),
        ),
        (
            session("Failed", MASK | {"error": {"code": "a b", "message": "x\u202ey" * 200}}),
            Failure("Failed", ("x y" * 86)[:256]),
        ),
    ],
)
def test_end_without_a_good_decision_is_a_failure(content: object, failure: Failure) -> None:
    """Succeeded is not a pass: another status, an error or an unknown value fails, in words that can be shown."""
    result = read(content)
    assert (result.status, result.decision, result.failure) == (
        SessionStatus.RESULT_AVAILABLE,
        None,
        failure,
    )


@versions
@pytest.mark.parametrize(
    "error",
    [{}, {"code": None}, {"message": "no code"}, {"code": "FaceWithMaskDetected", "message": "Mask."}],
)
def test_attempt_with_a_decision_and_an_error_never_passes(
    version: ApiVersion, error: dict[str, Any]
) -> None:
    """What contradicts itself is no decision, however little the error says."""
    content = session("Succeeded", REAL | {"error": error})
    result = version.read_result(response(200, json.dumps(content).encode()), SESSION)

    assert result.decision is None
    assert result.failure is not None


def test_attempt_whose_error_is_null_passes() -> None:
    """Where there is no error, a null says no more than leaving it out."""
    assert read(session("Succeeded", REAL | {"error": None})).decision is LivenessDecision.REALFACE


def test_token_in_the_answer_is_not_read() -> None:
    """The session's token, which this version repeats with the result, goes nowhere."""
    assert "canary-token" not in repr(read(session("Succeeded", REAL)))


@pytest.mark.parametrize(
    "content",
    [
        {},
        session("Succeeded"),
        session("Succeeded", results=None),
        session("Succeeded", REAL, sessionId="b12e033e-bda7-4b83-a211-e721c661f30f"),
        {"id": SESSION, "status": "ResultAvailable", "sessionExpired": False},
        session(None, REAL),
        session(["Succeeded"], REAL),
        session("Succeeded", REAL, results=[]),
        session("Succeeded", results={"attempts": {}}),
        session("Succeeded", results={"attempts": None}),
        session("Succeeded", results={"attempts": "realface"}),
        session("Succeeded", "realface"),
        session("Succeeded", None),
        session("Succeeded", REAL, REAL | {"result": {"livenessDecision": "spoofface"}}),
        session("Succeeded", REAL | {"attemptId": "2"}),
        session("Succeeded", REAL | {"attemptId": True}),
        session("Succeeded", REAL | {"attemptId": 2.0}),
        session("Succeeded", REAL | {"attemptId": None}),
        session("Succeeded", REAL | {"attemptStatus": None}),
        session("Succeeded", REAL | {"result": "realface"}),
        session("Succeeded", REAL | {"result": {"livenessDecision": 1}}),
        session("Succeeded", REAL | {"result": {"livenessDecision": "realface", "digest": 1}}),
        session("Failed", MASK | {"error": "mask"}),
        session("Failed", MASK | {"error": {"code": 7, "message": "seven"}}),
    ],
    ids=lambda content: json.dumps(content)[-60:],
)
def test_answer_that_is_not_the_contract_is_an_upstream_failure(content: object) -> None:
    """Another session, no attempts, two of the same id, a wrong type: an upstream failure, nothing else."""
    with pytest.raises(UpstreamFailure):
        read(content)


@unhurried
@given(json_objects({"sessionId": SESSION, "status": "Succeeded"}))
def test_any_json_is_a_result_or_an_upstream_failure(content: object) -> None:
    """Whatever Face answers is understood, or is an upstream failure."""
    answered = UpstreamResponse(200, {"content-type": "application/json"}, json.dumps(content).encode())
    try:
        result = v1_2.read_result(answered, SESSION)
    except UpstreamFailure:
        return
    final = result.status is SessionStatus.RESULT_AVAILABLE
    assert final == ((result.decision is None) != (result.failure is None))
