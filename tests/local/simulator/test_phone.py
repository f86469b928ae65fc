"""What the simulated phone does, and what it gets to know."""

from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, OLD, FaceClient, code_of
from tests.support.time import FakeClock


async def _decision(face: FaceClient, session_id: str) -> object:
    return (await face.result(session_id))["result"]["response"]["body"]["livenessDecision"]


async def test_perform_answers_result_id_and_digest(face: FaceClient) -> None:
    """The phone gets the id of its result, and the digest that the result holds."""
    created = await face.create()
    response = await face.phone(created["authToken"])
    shown = response.json()
    entry = (await face.result(created["sessionId"]))["result"]
    assert shown == {"resultId": entry["requestId"], "digest": entry["digest"]}
    assert shown["resultId"] == response.headers["apim-request-id"]
    assert (len(shown["digest"]), int(shown["digest"], 16) > 0) == (64, True)


async def test_failed_attempt_answers_the_error_and_no_digest(face: FaceClient) -> None:
    """An attempt without a decision comes with its error."""
    _, shown = await face.checked("sim-mask")
    error = {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}
    assert (shown["digest"], shown["error"], bool(shown["resultId"])) == (None, error, True)


async def test_perform_answers_the_decision_only_if_the_session_says_so(face: FaceClient) -> None:
    """With `sendResultsToClient` the phone gets the decision too."""
    _, shown = await face.checked("sim-spoofface", sendResultsToClient=True)
    assert shown.keys() == {"resultId", "digest", "livenessDecision"}
    assert shown["livenessDecision"] == "spoofface"


@pytest.mark.parametrize(
    ("version", "fields", "allowed"),
    [(OLD, {}, 3), (NEW, {}, 3), (NEWEST, {}, 1), (NEWEST, {"numberOfClientAttemptsAllowed": 2}, 2)],
)
async def test_attempts_are_limited(
    face: FaceClient, simulator: FaceSimulator, version: str, fields: dict[str, Any], allowed: int
) -> None:
    """After as many attempts as the session allows, there is no other."""
    created = await face.create(version=version, **fields)
    for _ in range(allowed):
        await face.perform(created["authToken"])
    assert code_of(await face.phone(created["authToken"])) == (403, "NoAttemptsLeft")
    attempts = simulator.sessions[0].attempts
    assert [attempt.attempt_id for attempt in attempts] == list(range(1, allowed + 1))


@pytest.mark.parametrize("credential", [None, "Bearer unknown", "Bearer", "Basic eA=="])
async def test_unknown_token_is_refused(face: FaceClient, credential: str | None) -> None:
    """Only the bearer token of a session lets a phone in."""
    await face.create()
    headers = {"Authorization": credential} if credential else {}
    assert code_of(await face.http.post("/simulator/perform", headers=headers)) == (401, "Unauthorized")


async def test_token_works_until_its_lifetime_is_over(face: FaceClient, clock: FakeClock) -> None:
    """A token is good for exactly the seconds that it was created with."""
    token = (await face.create(authTokenTimeToLiveInSeconds=60))["authToken"]
    clock.advance_seconds(59.999)
    assert (await face.phone(token)).status_code == 200
    clock.advance_seconds(0.001)
    assert code_of(await face.phone(token)) == (401, "Unauthorized")


@pytest.mark.parametrize("outcome", ["uncertain", "SIM-Uncertain"])
async def test_outcome_in_the_body_overrides_the_device_id(face: FaceClient, outcome: str) -> None:
    """The body of perform may choose another scenario for this attempt, with or without `sim-`."""
    created = await face.create("sim-spoofface")
    await face.perform(created["authToken"], {"outcome": outcome})
    assert await _decision(face, created["sessionId"]) == "uncertain"


async def test_device_id_set_by_the_phone_chooses_the_scenario(face: FaceClient) -> None:
    """Where the client sets the device id, the scenario is chosen when the phone names it."""
    created = await face.create(deviceCorrelationId=None, deviceCorrelationIdSetInClient=True)
    assert "deviceCorrelationId" not in await face.result(created["sessionId"])
    await face.perform(created["authToken"], {"deviceCorrelationId": "sim-spoofface"})
    assert (await face.result(created["sessionId"]))["deviceCorrelationId"] == "sim-spoofface"
    assert await _decision(face, created["sessionId"]) == "spoofface"


async def test_device_id_of_the_phone_is_ignored_where_the_session_has_one(face: FaceClient) -> None:
    """A phone cannot replace the device id that the broker gave."""
    created = await face.create("sim-uncertain")
    await face.perform(created["authToken"], {"deviceCorrelationId": "sim-spoofface"})
    assert await _decision(face, created["sessionId"]) == "uncertain"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "InvalidRequestBody"),
        ("[]", "InvalidRequestBody"),
        ('{"outcome": 1}', "InvalidRequestBody"),
        ('{"outcome": "spooface"}', "UnknownOutcome"),
        ('{"deviceCorrelationId": ""}', "InvalidDeviceCorrelationId"),
        ('{"deviceCorrelationId": null}', "InvalidDeviceCorrelationId"),
        ('{"deviceCorrelationId": "%s"}' % ("d" * 65), "InvalidDeviceCorrelationId"),
    ],
)
async def test_bad_body_of_the_phone_is_refused(
    face: FaceClient, simulator: FaceSimulator, content: str, code: str
) -> None:
    """A body that cannot be read, or an outcome that does not exist, is an error and changes nothing."""
    headers = {"Authorization": f"Bearer {(await face.create())['authToken']}"}
    response = await face.http.post("/simulator/perform", headers=headers, content=content)
    assert code_of(response) == (400, code)
    assert simulator.sessions[0].status == "NotStarted"
