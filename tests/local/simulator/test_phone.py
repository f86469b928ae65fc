"""What the simulated phone does, and what it gets to know."""

from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, OLD, FaceClient, code_of
from tests.support.time import FakeClock

NOTHING = {"resultId": None, "digest": None}


async def test_perform_answers_result_id_and_digest(face: FaceClient) -> None:
    """The phone gets the id of its result, and the digest that the result holds."""
    created = await face.create()
    response = await face.phone("perform", created["authToken"])
    shown = response.json()
    entry = (await face.result(created["sessionId"]))["result"]
    assert shown == {"resultId": entry["requestId"], "digest": entry["digest"]}
    assert shown["resultId"] == response.headers["apim-request-id"]
    assert (len(shown["digest"]), int(shown["digest"], 16) > 0) == (64, True)


async def test_perform_answers_the_decision_only_if_the_session_says_so(face: FaceClient) -> None:
    """With `sendResultsToClient` the phone gets the decision too."""
    created = await face.create("sim-spoofface", sendResultsToClient=True)
    shown = await face.perform(created["authToken"])
    assert shown.keys() == {"resultId", "digest", "livenessDecision"}
    assert shown["livenessDecision"] == "spoofface"


async def test_failed_attempt_answers_the_error_and_no_digest(face: FaceClient) -> None:
    """An attempt without a decision comes with its error."""
    shown = await face.perform((await face.create("sim-mask"))["authToken"])
    error = {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}
    assert (shown["digest"], shown["error"], bool(shown["resultId"])) == (None, error, True)


async def test_start_starts_without_an_attempt(
    face: FaceClient, simulator: FaceSimulator, clock: FakeClock
) -> None:
    """A started session has a status, and no attempt; starting it again changes nothing."""
    created = await face.create()
    assert await face.start(created["authToken"]) == {"status": "Started"}
    clock.advance_seconds(1)
    assert await face.start(created["authToken"]) == {"status": "Started"}
    [session] = simulator.sessions
    assert (session.attempts, session.started_ms) == ([], session.created_ms)


@pytest.mark.parametrize(
    ("version", "fields", "allowed"),
    [
        pytest.param(OLD, {}, 3, id="v1.1"),
        pytest.param(NEW, {}, 3, id="v1.2"),
        pytest.param(NEWEST, {}, 1, id="v1.3"),
        pytest.param(NEWEST, {"numberOfClientAttemptsAllowed": 2}, 2, id="v1.3-two"),
    ],
)
async def test_attempts_are_limited(
    face: FaceClient, simulator: FaceSimulator, version: str, fields: dict[str, Any], allowed: int
) -> None:
    """After as many attempts as the session allows, there is no other."""
    created = await face.create(version=version, **fields)
    for _ in range(allowed):
        await face.perform(created["authToken"])
    assert code_of(await face.phone("perform", created["authToken"])) == (403, "NoAttemptsLeft")
    [session] = simulator.sessions
    assert [attempt.attempt_id for attempt in session.attempts] == list(range(1, allowed + 1))


@pytest.mark.parametrize("route", ["start", "perform"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer unknown"}, {"Authorization": "Bearer"}, {"Authorization": "Basic eA=="}],
    ids=["none", "unknown", "empty", "other-scheme"],
)
async def test_unknown_token_is_refused(face: FaceClient, route: str, headers: dict[str, str]) -> None:
    """Only the bearer token of a session lets a phone in."""
    await face.create()
    assert code_of(await face.http.post(f"/simulator/{route}", headers=headers)) == (401, "Unauthorized")


@pytest.mark.parametrize("route", ["start", "perform"])
async def test_token_works_until_its_lifetime_is_over(face: FaceClient, clock: FakeClock, route: str) -> None:
    """A token is good for exactly the seconds that it was created with."""
    token = (await face.create(authTokenTimeToLiveInSeconds=60))["authToken"]
    clock.advance_seconds(59.999)
    assert (await face.phone(route, token)).status_code == 200
    clock.advance_seconds(0.001)
    assert code_of(await face.phone(route, token)) == (401, "Unauthorized")


@pytest.mark.parametrize("outcome", ["uncertain", "sim-uncertain", "SIM-Uncertain"])
async def test_outcome_in_the_body_overrides_the_device_id(face: FaceClient, outcome: str) -> None:
    """The body of perform may choose another scenario for this attempt, with or without `sim-`."""
    created = await face.create("sim-spoofface")
    await face.perform(created["authToken"], {"outcome": outcome})
    result = (await face.result(created["sessionId"]))["result"]
    assert result["response"]["body"]["livenessDecision"] == "uncertain"


async def test_outcome_in_the_body_may_be_no_attempt(face: FaceClient) -> None:
    """The phone can be made not to come back at all."""
    created = await face.create()
    assert await face.perform(created["authToken"], {"outcome": "no-attempt"}) == NOTHING
    assert (await face.result(created["sessionId"]))["status"] == "NotStarted"


@pytest.mark.parametrize("route", ["start", "perform"])
async def test_device_id_set_by_the_phone_chooses_the_scenario(face: FaceClient, route: str) -> None:
    """Where the client sets the device id, the scenario is chosen when the phone names it."""
    created = await face.create(deviceCorrelationId=None, deviceCorrelationIdSetInClient=True)
    assert "deviceCorrelationId" not in await face.result(created["sessionId"])
    await face.phone(route, created["authToken"], {"deviceCorrelationId": "sim-spoofface"})
    if route == "start":
        await face.perform(created["authToken"])
    result = await face.result(created["sessionId"])
    assert result["deviceCorrelationId"] == "sim-spoofface"
    assert result["result"]["response"]["body"]["livenessDecision"] == "spoofface"


async def test_device_id_of_the_phone_is_ignored_where_the_session_has_one(face: FaceClient) -> None:
    """A phone cannot replace the device id that the broker gave."""
    created = await face.create("sim-uncertain")
    await face.perform(created["authToken"], {"deviceCorrelationId": "sim-spoofface"})
    result = await face.result(created["sessionId"])
    assert result["deviceCorrelationId"] == "sim-uncertain"
    assert result["result"]["response"]["body"]["livenessDecision"] == "uncertain"


@pytest.mark.parametrize("route", ["start", "perform"])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "InvalidRequestBody"),
        (b"[]", "InvalidRequestBody"),
        (b'{"outcome": 1}', "InvalidRequestBody"),
        (b'{"deviceCorrelationId": ""}', "InvalidDeviceCorrelationId"),
        (b'{"deviceCorrelationId": null}', "InvalidDeviceCorrelationId"),
        (b'{"deviceCorrelationId": "' + b"d" * 65 + b'"}', "InvalidDeviceCorrelationId"),
    ],
    ids=["cut", "array", "outcome-number", "device-empty", "device-null", "device-long"],
)
async def test_bad_body_of_the_phone_is_refused(
    face: FaceClient, simulator: FaceSimulator, route: str, content: bytes, code: str
) -> None:
    """A body that cannot be read changes nothing."""
    headers = {"Authorization": f"Bearer {(await face.create())['authToken']}"}
    response = await face.http.post(f"/simulator/{route}", headers=headers, content=content)
    assert code_of(response) == (400, code)
    assert simulator.sessions[0].status == "NotStarted"


async def test_unknown_outcome_is_refused(face: FaceClient, simulator: FaceSimulator) -> None:
    """A misspelled outcome is an error, not a real face."""
    created = await face.create()
    response = await face.phone("perform", created["authToken"], {"outcome": "spooface"})
    assert code_of(response) == (400, "UnknownOutcome")
    assert simulator.sessions[0].status == "NotStarted"
