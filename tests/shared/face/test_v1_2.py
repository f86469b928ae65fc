import itertools
import json
from typing import Any

import pytest

from shared.errors import UpstreamFailure
from shared.face import v1_2, v1_3_preview_1
from shared.face.answers import ApiVersion, UpstreamRequest
from shared.face.model import LivenessDecision, LivenessMode, SessionResult, SessionSpec, SessionStatus
from tests.shared.face.doubles import SESSION
from tests.support.http import answer_of

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

versions = pytest.mark.parametrize(
    "version", [v1_2.VERSION, v1_3_preview_1.VERSION], ids=lambda version: version.name
)


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
    return v1_2.VERSION.read_result(answer_of(200, json.dumps(content).encode(), headers), SESSION)


@versions
def test_create_is_the_documented_request(version: ApiVersion) -> None:
    """No image is kept, and results cannot go to the client, whatever was asked for."""
    spec = SessionSpec(LivenessMode.PASSIVE_ACTIVE, "device", 60, send_results_to_client=True)
    assert version.create_request(spec) == UpstreamRequest(
        "POST",
        f"/face/{version.name}/detectLiveness-sessions",
        {
            "livenessOperationMode": "PassiveActive",
            "deviceCorrelationId": "device",
            "authTokenTimeToLiveInSeconds": 60,
            "deviceCorrelationIdSetInClient": False,
            "enableSessionImage": False,
        },
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("NotStarted", SessionStatus.NOT_STARTED),
        ("Running", SessionStatus.STARTED),
        ("SomethingNew", SessionStatus.STARTED),
        ("ResultAvailable", SessionStatus.STARTED),
    ],
)
def test_session_that_goes_on_has_no_decision(status: str, expected: SessionStatus) -> None:
    """Before the end there is no decision, however attempts ended so far; an unknown status is not the end."""
    for content in (session(status), session(status, results={"attempts": None})):
        assert read(content) == SessionResult(expected, request_id="read-call")
    assert read(session(status, REAL, MASK)) == SessionResult(
        expected, attempts=2, request_id="read-call", decisions=((2, "realface"),)
    )


@pytest.mark.parametrize("attempt", [REAL, REAL | {"error": None}])
def test_session_with_a_good_decision_has_it(attempt: dict[str, Any]) -> None:
    """The decision comes with its digest, and nothing shows the token that this version repeats."""
    result = read(session("Succeeded", MASK, attempt))
    assert result == SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        2,
        LivenessDecision.REALFACE,
        DIGEST,
        request_id="read-call",
        decisions=((2, "realface"),),
    )
    assert "canary-token" not in repr(result)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])), ids=repr)
def test_highest_attempt_counts_in_whatever_order(order: tuple[int, ...]) -> None:
    """Examples list the newest attempt first, tutorials take the last; an earlier pass is kept and does not count."""
    by_id = {1: REAL | {"attemptId": 1}, 2: MASK | {"attemptId": 2}, 3: SPOOF | {"attemptId": 3}}
    result = read(session("Succeeded", *(by_id[number] for number in order)))
    assert (result.attempts, result.decision) == (3, LivenessDecision.SPOOFFACE)
    assert result.decisions == ((1, "realface"), (3, "spoofface"))


@pytest.mark.parametrize(
    ("content", "by_version"),
    [
        (session("Failed", MASK), (True, False)),
        (session("Failed", MASK, MASK | {"attemptId": 2}), (True, False)),
        (session("Failed", *(MASK | {"attemptId": number} for number in (1, 2, 3))), (False, False)),
        (session("Canceled", MASK), (False, False)),
        (session("Failed"), (False, False)),
        (session("Succeeded", REAL), (False, False)),
        (session("Succeeded", REAL | {"result": {"livenessDecision": "deepfake"}}), (False, False)),
        (session("Succeeded", REAL | {"attemptId": 1, "result": {}}), (True, False)),
    ],
)
def test_attempt_without_a_decision_may_be_followed_by_another(
    content: dict[str, Any], by_version: tuple[bool, bool]
) -> None:
    """Up to three in v1.2, and one in v1.3-preview.1 unless a create asks for more. A canceled session is over."""
    answer = answer_of(200, json.dumps(content).encode())
    found = [version.read_result(answer, SESSION) for version in (v1_2.VERSION, v1_3_preview_1.VERSION)]

    assert tuple(result.may_retry for result in found) == by_version


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (session("Failed", MASK), "FaceWithMaskDetected"),
        (session("Succeeded", REAL | {"attemptId": 0}, MASK), "FaceWithMaskDetected"),
        (session("Failed"), "Failed"),
        (session("Failed", results=None), "Failed"),
        (session("Failed", REAL), "Failed"),
        (session("Canceled"), "Canceled"),
        (session("Canceled", REAL), "Canceled"),
        (session("Canceled", MASK), "FaceWithMaskDetected"),
        (session("Succeeded", REAL | {"attemptStatus": "Running"}), "Running"),
        (session("Succeeded", REAL | {"attemptStatus": "succeeded"}), "succeeded"),
        (session("Succeeded", REAL | {"result": {}}), "NoDecision"),
        (session("Succeeded", REAL | {"result": None, "error": None}), "NoDecision"),
    ],
)
def test_end_without_a_good_decision_is_a_failure(content: object, code: str) -> None:
    """Succeeded is not a pass: another status, an error or no decision fails."""
    result = read(content)
    assert (result.status, result.decision) == (SessionStatus.RESULT_AVAILABLE, None)
    assert result.failure
    assert result.failure.code == code


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
    result = version.read_result(answer_of(200, json.dumps(content).encode()), SESSION)

    assert result.decision is None
    assert result.failure is not None


@pytest.mark.parametrize(
    "content",
    [
        {},
        session("Succeeded"),
        session("Succeeded", results=None),
        session("Succeeded", REAL, sessionId="b12e033e-bda7-4b83-a211-e721c661f30f"),
        {"id": SESSION, "status": "ResultAvailable", "sessionExpired": False},
        session(["Succeeded"], REAL),
        session("Succeeded", REAL, results=[]),
        session("Succeeded", "realface"),
        session("Succeeded", REAL, REAL | {"result": {"livenessDecision": "spoofface"}}),
        session("Succeeded", REAL | {"attemptId": "2"}),
        session("Succeeded", REAL | {"attemptId": True}),
        session("Succeeded", REAL | {"attemptId": -1}),
        session("Succeeded", REAL | {"attemptId": 2**63}),
        session("Succeeded", REAL | {"result": "realface"}),
        session("Succeeded", REAL | {"result": {"livenessDecision": "realface", "digest": 1}}),
        session("Failed", MASK | {"error": "mask"}),
    ],
    ids=lambda content: json.dumps(content)[-60:],
)
def test_answer_that_is_not_the_contract_is_an_upstream_failure(content: object) -> None:
    with pytest.raises(UpstreamFailure):
        read(content)
