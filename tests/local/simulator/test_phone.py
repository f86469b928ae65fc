"""What the simulated phone does, and what it gets to know."""

from typing import Any

import pytest

from local.simulator import FaceSimulator
from tests.local.simulator.client import NEW, NEWEST, OLD, FaceClient, code_of
from tests.support.time import FakeClock


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
    assert (len(shown), shown["livenessDecision"]) == (3, "spoofface")


@pytest.mark.parametrize(
    ("version", "fields", "allowed"),
    [(OLD, {}, 3), (NEW, {}, 3), (NEWEST, {}, 1), (NEWEST, {"numberOfClientAttemptsAllowed": 2}, 2)],
)
async def test_attempts_are_limited(
    face: FaceClient, simulator: FaceSimulator, version: str, fields: dict[str, Any], allowed: int
) -> None:
    """After as many attempts as the session allows, there is no other."""
    token = (await face.create(version=version, **fields))["authToken"]
    for _ in range(allowed):
        await face.perform(token)
    assert code_of(await face.phone(token)) == (403, "NoAttemptsLeft")
    attempts = simulator.sessions[0].attempts
    assert [attempt.attempt_id for attempt in attempts] == list(range(1, allowed + 1))


@pytest.mark.parametrize("credential", ["", "Bearer unknown", "Bearer", "Basic {token}"])
async def test_unknown_token_is_refused(face: FaceClient, credential: str) -> None:
    """Only the bearer token of a session lets a phone in."""
    headers = {"Authorization": credential.format(token=(await face.create())["authToken"])}
    assert code_of(await face.post("/simulator/perform", headers=headers)) == (401, "Unauthorized")


async def test_token_works_until_its_lifetime_is_over(face: FaceClient, clock: FakeClock) -> None:
    """A token is good for exactly the seconds that it was created with."""
    token = (await face.create(authTokenTimeToLiveInSeconds=60))["authToken"]
    clock.advance_seconds(59.999)
    assert (await face.phone(token)).status_code == 200
    clock.advance_seconds(0.001)
    assert code_of(await face.phone(token)) == (401, "Unauthorized")


SET_BY_THE_PHONE = {"deviceCorrelationId": None, "deviceCorrelationIdSetInClient": True}


@pytest.mark.parametrize(
    ("device_id", "fields", "body", "device_shown", "decision"),
    [
        ("sim-spoofface", {}, {"outcome": "uncertain"}, "sim-spoofface", "uncertain"),
        ("sim-spoofface", {}, {"outcome": "SIM-Uncertain"}, "sim-spoofface", "uncertain"),
        ("", SET_BY_THE_PHONE, {"deviceCorrelationId": "sim-spoofface"}, "sim-spoofface", "spoofface"),
        ("", SET_BY_THE_PHONE, {}, None, "realface"),
        ("sim-uncertain", {}, {"deviceCorrelationId": "sim-spoofface"}, "sim-uncertain", "uncertain"),
    ],
)
async def test_body_of_perform_may_choose_the_scenario(
    face: FaceClient,
    device_id: str,
    fields: dict[str, Any],
    body: dict[str, str],
    device_shown: str | None,
    decision: str,
) -> None:
    """An outcome is chosen with or without `sim-`; a device id only if the create request leaves it to the phone."""
    created = await face.create(device_id, **fields)
    await face.perform(created["authToken"], body)
    result = await face.result(created["sessionId"])
    assert result.get("deviceCorrelationId") == device_shown
    assert result["result"]["response"]["body"]["livenessDecision"] == decision


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *((content, "InvalidRequestBody") for content in ("{", "[]", '{"outcome": 1}')),
        ('{"outcome": "spooface"}', "UnknownOutcome"),
        *(
            (f'{{"deviceCorrelationId": {value}}}', "InvalidDeviceCorrelationId")
            for value in ('""', "null", f'"{"d" * 65}"')
        ),
    ],
)
async def test_bad_body_of_the_phone_is_refused(
    face: FaceClient, simulator: FaceSimulator, content: str, code: str
) -> None:
    """A body that cannot be read, or an outcome that does not exist, is an error and changes nothing."""
    headers = {"Authorization": f"Bearer {(await face.create())['authToken']}"}
    response = await face.post("/simulator/perform", headers=headers, content=content)
    assert code_of(response) == (400, code)
    assert simulator.sessions[0].status == "NotStarted"
