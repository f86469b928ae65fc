"""What each magic device id makes the simulator do; `tests/e2e/test_magic_ids.py` has what an app gets of it."""

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


@pytest.mark.parametrize(
    ("device_id", "found"),
    [
        ("SIM-SpoofFace", "sim-spoofface"),
        ("sim-spoofface.42", "sim-spoofface"),
        ("sim-spoofface-42", "sim-realface"),
        ("sim-", "sim-realface"),
        ("723d6d03-ef33-40a8-9682-23a1feb7bccd", "sim-realface"),
        (None, "sim-realface"),
    ],
)
def test_device_id_chooses_the_scenario(device_id: str | None, found: str) -> None:
    """Neither case nor what follows a dot matters; unknown ids are real faces."""
    assert of_device(device_id).device_id == found


@pytest.mark.parametrize(
    ("device_id", "decisions"),
    [
        ("sim-second-passes", [None, "realface", "realface"]),
        ("sim-second-spoofs", ["realface", "spoofface", "spoofface"]),
        ("sim-third-passes", ["spoofface", "spoofface", "realface"]),
    ],
)
async def test_later_attempts_have_outcomes_of_their_own(
    face: FaceClient, device_id: str, decisions: list[str | None]
) -> None:
    """The latest attempt stands in both shapes; the last outcome repeats."""
    created = await face.create(device_id)
    for decision in decisions:
        await face.perform(created["authToken"])
        old, new = await face.result(created["sessionId"]), await face.result(created["sessionId"], NEW)
        latest = new["results"]["attempts"][0]
        decided = (old["result"]["response"]["body"], latest.get("result", {}))
        assert [each.get("livenessDecision") for each in decided] == [decision] * 2


@pytest.mark.parametrize(
    ("device_id", "matches"),
    [
        ("sim-realface", [True, True]),
        ("sim-digest-mismatch", [False, False]),
        ("sim-digest-second-matches", [False, True]),
    ],
)
async def test_phone_gets_another_digest_than_the_result(
    face: FaceClient, device_id: str, matches: list[bool]
) -> None:
    created = await face.create(device_id)
    for same in matches:
        shown = await face.perform(created["authToken"])
        assert (shown["digest"] == (await face.result(created["sessionId"]))["result"]["digest"]) is same


@pytest.mark.parametrize(("device_id", "others"), [("sim-abuse", [FLAGGED_SESSION]), ("sim-realface", [])])
async def test_abuse_is_told_with_the_other_session_of_the_same_person(
    face: FaceClient, device_id: str, others: list[str]
) -> None:
    created, _ = await face.checked(device_id, NEWEST)
    result = await face.result(created["sessionId"], NEWEST)
    assert result["results"]["attempts"][0]["abuseMonitoringResult"] == {
        "isAbuseDetected": bool(others),
        "otherFlaggedSessions": [{"attemptId": 1, "sessionId": other} for other in others],
    }


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
