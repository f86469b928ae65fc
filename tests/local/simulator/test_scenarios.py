"""Every magic device id does what the table says, in every version where it can show."""

import httpx
import pytest

from local.simulator import SCENARIOS, FaceSimulator
from local.simulator.scenarios import of_device
from local.simulator.versions import FLAGGED_SESSION
from tests.local.simulator.client import CUT_OFF, NEW, NEWEST, OLD, VERSIONS, FaceClient, refusal_of
from tests.local.simulator.conftest import Sleeps
from tests.local.simulator.documented import ERRORS, REQUEST

every_version = pytest.mark.parametrize("version", VERSIONS)

FAULTY = [each.device_id for each in SCENARIOS if each.call != "perform"]
REFUSED = [device_id for device_id in FAULTY if device_id.split("-", 2)[2] in ERRORS]


async def _call(face: FaceClient, device_id: str, version: str = OLD) -> httpx.Response:
    """Make the call in which a device id shows."""
    if device_id.startswith("sim-create-"):
        return await face.order(version, REQUEST | {"deviceCorrelationId": device_id})
    created, _ = await face.checked(device_id, version)
    call = face.read if device_id.startswith("sim-result-") else face.remove
    return await call(created["sessionId"], version)


@every_version
@pytest.mark.parametrize(
    ("device_id", "decision"),
    [
        ("sim-realface", "realface"),
        ("sim-spoofface", "spoofface"),
        ("sim-uncertain", "uncertain"),
        ("sim-digest-mismatch", "realface"),
        ("sim-realface-case", "realFace"),
        ("sim-unknown-decision", "deepfake"),
        ("723d6d03-ef33-40a8-9682-23a1feb7bccd", "realface"),
        ("sim-", "realface"),
        ("SIM-SpoofFace", "spoofface"),
        ("sim-spoofface.42", "spoofface"),
        ("sim-spoofface-42", "realface"),
    ],
)
async def test_device_id_chooses_decision_and_digest(
    face: FaceClient, version: str, device_id: str, decision: str
) -> None:
    """Case and tail do not matter; unknown ids are real faces. A mismatch gives the phone another digest."""
    created, shown = await face.checked(device_id, version)
    result = await face.result(created["sessionId"], version)
    if version == OLD:
        decided, digest = result["result"]["response"]["body"], result["result"]["digest"]
    else:
        decided = result["results"]["attempts"][0]["result"]
        digest = decided["digest"]
    assert decided["livenessDecision"] == decision
    assert (len(shown["digest"]), shown["digest"] != digest) == (64, device_id == "sim-digest-mismatch")


@pytest.mark.parametrize(
    ("device_id", "decisions"),
    [
        ("sim-second-passes", [None, "realface", "realface"]),
        ("sim-second-spoofs", ["realface", "spoofface", "spoofface"]),
        ("sim-third-passes", ["spoofface", "spoofface", "realface"]),
        ("sim-digest-second-matches", ["realface", "realface", "realface"]),
        ("sim-mask", [None, None, None]),
    ],
)
async def test_later_attempts_have_outcomes_of_their_own(
    face: FaceClient, device_id: str, decisions: list[str | None]
) -> None:
    """The latest attempt stands in both shapes; the last outcome repeats. A mask never gets a decision."""
    created = await face.create(device_id)
    for decision in decisions:
        await face.perform(created["authToken"])
        old, new = await face.result(created["sessionId"]), await face.result(created["sessionId"], NEW)
        latest = new["results"]["attempts"][0]
        decided = (old["result"]["response"]["body"], latest.get("result", {}))
        assert [each.get("livenessDecision") for each in decided] == [decision] * 2
        assert latest.get("error", {}).get("code") == (None if decision else "FaceWithMaskDetected")


async def test_digest_differs_at_the_first_attempt_only(face: FaceClient) -> None:
    """The phone that tries again gets the digest of the result."""
    created = await face.create("sim-digest-second-matches")
    matches = []
    for _ in range(2):
        shown = await face.perform(created["authToken"])
        matches.append(shown["digest"] == (await face.result(created["sessionId"]))["result"]["digest"])
    assert matches == [False, True]


@every_version
async def test_attempt_without_a_digest(face: FaceClient, version: str) -> None:
    """Neither the phone nor the result has one."""
    created, shown = await face.checked("sim-no-digest", version)
    result = await face.result(created["sessionId"], version)
    attempt = result["result"] if version == OLD else result["results"]["attempts"][0]["result"]
    assert (shown["digest"], attempt["digest"]) == (None, None)


@every_version
@pytest.mark.parametrize("device_id", ["sim-abuse", "sim-realface"])
async def test_abuse_is_told_by_the_newest_version_alone(
    face: FaceClient, version: str, device_id: str
) -> None:
    """With the other session that looks like the same person."""
    created, _ = await face.checked(device_id, version)
    result = await face.result(created["sessionId"], version)
    is_abuse = device_id == "sim-abuse"
    others = [{"attemptId": 1, "sessionId": FLAGGED_SESSION}] if is_abuse else []
    if version == NEWEST:
        told = result["results"]["attempts"][0]["abuseMonitoringResult"]
        assert told == {"isAbuseDetected": is_abuse, "otherFlaggedSessions": others}
    else:
        assert "abuseMonitoringResult" not in str(result)


@pytest.mark.parametrize(
    ("device_id", "old_status", "new_status", "again"),
    [
        ("sim-no-attempt", "NotStarted", "NotStarted", 200),
        ("sim-abandoned", "Started", "Running", 200),
        ("sim-canceled", "Started", "Canceled", 401),
    ],
)
async def test_scenario_without_attempt_leaves_no_result(
    face: FaceClient, device_id: str, old_status: str, new_status: str, again: int
) -> None:
    """The phone gets nothing, and no version has a result; the token of a canceled session stops working."""
    created, shown = await face.checked(device_id)
    assert shown == {"resultId": None, "digest": None}
    old, new = await face.result(created["sessionId"]), await face.result(created["sessionId"], NEW)
    assert (old["status"], new["status"]) == (old_status, new_status)
    assert ("result" in old, new["results"]) == (False, {"attempts": []})
    assert (await face.phone(created["authToken"])).status_code == again


@every_version
@pytest.mark.parametrize("device_id", REFUSED)
async def test_call_is_refused_as_documented(
    face: FaceClient, simulator: FaceSimulator, version: str, device_id: str
) -> None:
    """A refused create leaves no session; a result is refused at every read, and a delete leaves the session."""
    _, word, name = device_id.split("-", 2)
    response = await _call(face, device_id, version)
    assert refusal_of(response) == ERRORS[name]
    assert response.headers.get("Retry-After") == ("7" if name == "429-header" else None)
    assert [session.deleted for session in simulator.sessions] == ([] if word == "create" else [False])
    for session in simulator.sessions:
        is_read = (await face.read(session.session_id, version)).is_success
        is_deleted = (await face.remove(session.session_id, version)).is_success
        assert (is_read, is_deleted) == ((False, True) if word == "result" else (True, False))


@pytest.mark.parametrize("word", ["create", "result"])
@pytest.mark.parametrize(("name", "start"), [("502", "<html>"), ("503", "")])
async def test_answer_of_something_before_face_is_not_json(
    face: FaceClient, word: str, name: str, start: str
) -> None:
    """A 502 is an HTML page, and a 503 has no body."""
    response = await _call(face, f"sim-{word}-{name}")
    assert (response.status_code, response.text[:6]) == (int(name), start)
    assert response.headers.get("content-type") == ("text/html" if start else None)


@pytest.mark.parametrize("word", ["create", "result"])
async def test_slow_call_takes_effect_after_a_delay(face: FaceClient, sleeps: Sleeps, word: str) -> None:
    """A slow call is right in the end, after longer than any deadline."""
    response = await _call(face, f"sim-{word}-slow")
    assert (response.status_code, sleeps.seconds) == (200, [30.0])


async def test_lost_create_leaves_a_session(face: FaceClient, simulator: FaceSimulator) -> None:
    """The caller gets no answer, yet there is a session."""
    with pytest.raises(CUT_OFF):
        await _call(face, "sim-create-lost")
    assert [session.device_id for session in simulator.sessions] == ["sim-create-lost"]


async def test_flaky_result_comes_at_the_third_read(face: FaceClient) -> None:
    """Two reads fail, all that follow succeed."""
    created = await face.create("sim-result-flaky")
    statuses = [(await face.read(created["sessionId"])).status_code for _ in range(4)]
    assert statuses == [503, 503, 200, 200]


def test_table_holds_each_device_id_once() -> None:
    """Device ids are unique, valid for a create request, and found whatever their case."""
    ids = [each.device_id for each in SCENARIOS]
    assert len(set(ids)) == len(ids)
    assert all(device_id == device_id.lower() and len(device_id) <= 40 for device_id in ids)
    assert [of_device(device_id.upper()) for device_id in ids] == list(SCENARIOS)


def test_every_fault_of_the_table_is_tested() -> None:
    """A fault that is added to the table needs its documented shape, or a test of its own."""
    own = {"502", "503", "slow", "lost", "flaky"}
    assert {each.split("-", 2)[2] for each in set(FAULTY) - set(REFUSED)} == own
    assert len(REFUSED) == 15
