import json
from typing import Any

import pytest

from shared.errors import UpstreamFailure
from shared.face import v1_2
from shared.face.model import LivenessDecision, SessionResult
from shared.face.v1_3_preview_1 import VERSION
from tests.shared.face.doubles import SESSION
from tests.shared.face.test_v1_2 import MASK, REAL, session
from tests.support.http import answer_of

OTHER = "0b2a3c4d-0000-4000-8000-000000000001"
FLAGGED = {"isAbuseDetected": True, "otherFlaggedSessions": [{"attemptId": 1, "sessionId": OTHER}]}
CLEAN = {"isAbuseDetected": False, "otherFlaggedSessions": []}


def attempt(number: int, abuse: object, **changed: object) -> dict[str, Any]:
    return REAL | {"attemptId": number, "abuseMonitoringResult": abuse} | changed


def read(content: object) -> SessionResult:
    return VERSION.read_result(answer_of(200, json.dumps(content).encode()), SESSION)


@pytest.mark.parametrize(
    ("attempts", "detected", "flagged"),
    [
        ([REAL], None, ()),
        ([attempt(1, None)], None, ()),
        ([attempt(1, {})], None, ()),
        ([attempt(1, {"isAbuseDetected": None, "otherFlaggedSessions": None})], None, ()),
        ([attempt(1, CLEAN)], False, ()),
        ([attempt(1, FLAGGED)], True, (OTHER,)),
        ([attempt(1, FLAGGED), attempt(2, CLEAN)], True, (OTHER,)),
        ([attempt(2, FLAGGED), attempt(1, FLAGGED)], True, (OTHER,)),
    ],
)
def test_abuse_in_any_attempt_is_told(
    attempts: list[object], detected: bool | None, flagged: tuple[str, ...]
) -> None:
    """A later attempt that is clean does not undo it. Without a word about abuse nothing is said."""
    result = read(session("Succeeded", *attempts))

    assert (result.decision, result.abuse_detected) == (LivenessDecision.REALFACE, detected)
    assert result.flagged_sessions == flagged


@pytest.mark.parametrize("status", ["Running", "Failed", "Canceled"])
def test_abuse_is_told_whatever_became_of_the_session(status: str) -> None:
    """Also before its end."""
    assert read(session(status, MASK | {"abuseMonitoringResult": FLAGGED})).abuse_detected is True


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (None, ()),
        ([], ()),
        ([{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}, {"ip": "192.0.2.1"}], ("192.0.2.1", "2001:db8::1")),
        ([{"ip": None}, {}, {"ip": "a token\n"}], ()),
    ],
)
def test_addresses_of_the_phone_are_told_once_each(
    clients: list[object] | None, expected: tuple[str, ...]
) -> None:
    """What is no identifier is left out: it ends in logs and pages."""
    result = read(session("Succeeded", attempt(1, CLEAN, clientInformation=clients)))

    assert result.client_addresses == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"abuseMonitoringResult": {"isAbuseDetected": "true"}},
        {"abuseMonitoringResult": {"isAbuseDetected": 1}},
        {"abuseMonitoringResult": []},
        {"abuseMonitoringResult": {"isAbuseDetected": True, "otherFlaggedSessions": {}}},
        {"abuseMonitoringResult": {"otherFlaggedSessions": [{}]}},
        {"clientInformation": {"ip": "192.0.2.1"}},
    ],
)
def test_abuse_that_cannot_be_read_is_an_upstream_failure(wrong: dict[str, object]) -> None:
    """An answer that is not understood is no pass. The version before has no such field."""
    content = session("Succeeded", REAL | wrong)

    with pytest.raises(UpstreamFailure):
        read(content)
    answer = answer_of(200, json.dumps(content).encode())
    assert v1_2.VERSION.read_result(answer, SESSION).abuse_detected is None
