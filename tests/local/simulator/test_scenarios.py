"""Every magic device id does what the table says, in every version where it can show."""

import httpx
import pytest

from local.simulator import SCENARIOS, FaceSimulator
from local.simulator.scenarios import of_device
from tests.local.simulator.client import CUT_OFF, NEW, OLD, VERSIONS, FaceClient, refusal_of
from tests.local.simulator.documented import ERRORS, REQUEST

every_version = pytest.mark.parametrize("version", VERSIONS)


def _names(word: str) -> list[str]:
    """The last parts of the device ids that get a documented refusal."""
    prefix = f"sim-{word}-"
    names = [each.device_id.removeprefix(prefix) for each in SCENARIOS if each.device_id.startswith(prefix)]
    return [name for name in names if name in ERRORS]


async def _call(face: FaceClient, word: str, name: str, version: str = OLD) -> httpx.Response:
    if word == "create":
        return await face.post(version, REQUEST | {"deviceCorrelationId": f"sim-create-{name}"})
    created, _ = await face.checked(f"sim-result-{name}", version)
    return await face.get(created["sessionId"], version)


async def _decision(face: FaceClient, device_id: str, version: str, performs: int = 1) -> object:
    created = await face.create(device_id, version)
    for _ in range(performs):
        await face.perform(created["authToken"])
    result = await face.result(created["sessionId"], version)
    if version == OLD:
        return result["result"]["response"]["body"]["livenessDecision"]
    return result["results"]["attempts"][0]["result"]["livenessDecision"]


@every_version
@pytest.mark.parametrize(
    ("device_id", "decision"),
    [
        ("sim-realface", "realface"),
        ("sim-spoofface", "spoofface"),
        ("sim-uncertain", "uncertain"),
        ("sim-realface-case", "realFace"),
        ("sim-unknown-decision", "deepfake"),
        ("723d6d03-ef33-40a8-9682-23a1feb7bccd", "realface"),
        ("sim-", "realface"),
        ("SIM-SpoofFace", "spoofface"),
        ("sim-spoofface.42", "spoofface"),
        ("sim-spoofface-42", "realface"),
    ],
)
async def test_device_id_chooses_the_decision(
    face: FaceClient, version: str, device_id: str, decision: str
) -> None:
    """The decision is that of the table, whatever the case and the tail; unknown ids are real faces."""
    assert await _decision(face, device_id, version) == decision


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize(
    ("device_id", "decision"), [("sim-second-passes", "realface"), ("sim-second-spoofs", "spoofface")]
)
async def test_second_attempt_decides(face: FaceClient, version: str, device_id: str, decision: str) -> None:
    """Where two attempts differ, the result of the later one stands."""
    assert await _decision(face, device_id, version, performs=2) == decision


async def test_mask_fails_every_attempt(face: FaceClient) -> None:
    """A mask never gets a decision."""
    token = (await face.create("sim-mask"))["authToken"]
    errors = [(await face.perform(token))["error"]["code"] for _ in range(3)]
    assert errors == ["FaceWithMaskDetected"] * 3


async def test_digest_mismatch_gives_the_phone_another_digest(face: FaceClient) -> None:
    """The decision is good, but the phone's digest is not that of the result."""
    created, shown = await face.checked("sim-digest-mismatch")
    entry = (await face.result(created["sessionId"]))["result"]
    assert entry["response"]["body"]["livenessDecision"] == "realface"
    assert (len(shown["digest"]), shown["digest"] == entry["digest"]) == (64, False)


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
@pytest.mark.parametrize(
    ("word", "name"), [(word, name) for word in ("create", "result") for name in _names(word)]
)
async def test_call_is_refused_as_documented(
    face: FaceClient, simulator: FaceSimulator, version: str, word: str, name: str
) -> None:
    """A create that is refused leaves no session; a result is refused at every read, but not its delete."""
    response = await _call(face, word, name, version)
    assert refusal_of(response) == ERRORS[name]
    assert response.headers.get("Retry-After") == ("7" if name == "429-header" else None)
    assert len(simulator.sessions) == (0 if word == "create" else 1)
    for session in simulator.sessions:
        assert refusal_of(await face.get(session.session_id, version)) == ERRORS[name]
        assert (await face.delete(session.session_id, version)).is_success


@every_version
async def test_delete_is_refused_and_the_session_stays(
    face: FaceClient, simulator: FaceSimulator, version: str
) -> None:
    """A delete that fails leaves the session and its result."""
    created = await face.create("sim-delete-500", version)
    assert refusal_of(await face.delete(created["sessionId"], version)) == ERRORS["500"]
    assert (await face.get(created["sessionId"], version)).status_code == 200
    assert not simulator.sessions[0].deleted


@pytest.mark.parametrize("word", ["create", "result"])
@pytest.mark.parametrize(("name", "start"), [("502", "<html>"), ("503", "")])
async def test_answer_of_something_before_face_is_not_json(
    face: FaceClient, word: str, name: str, start: str
) -> None:
    """A 502 is an HTML page, and a 503 has no body."""
    response = await _call(face, word, name)
    assert response.status_code == int(name)
    assert response.text.startswith(start)
    assert (response.headers.get("content-type") == "text/html") == bool(response.content) == bool(start)


@pytest.mark.parametrize("word", ["create", "result"])
async def test_slow_call_takes_effect_after_a_delay(face: FaceClient, slept: list[float], word: str) -> None:
    """A slow call is right in the end, after longer than any deadline."""
    response = await _call(face, word, "slow")
    assert (response.status_code, slept) == (200, [30.0])


async def test_lost_create_leaves_a_session(face: FaceClient, simulator: FaceSimulator) -> None:
    """The caller gets no answer, yet there is a session."""
    with pytest.raises(CUT_OFF):
        await _call(face, "create", "lost")
    assert [session.device_id for session in simulator.sessions] == ["sim-create-lost"]


async def test_flaky_result_comes_at_the_third_read(face: FaceClient) -> None:
    """Two reads fail, all that follow succeed."""
    created = await face.create("sim-result-flaky")
    statuses = [(await face.get(created["sessionId"])).status_code for _ in range(4)]
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
    names = {each.device_id.split("-", 2)[2] for each in SCENARIOS if each.call != "perform"}
    assert names - own <= set(ERRORS)
    assert len(_names("create")) + len(_names("result")) == 14
