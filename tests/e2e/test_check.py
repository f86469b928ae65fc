"""A check from end to end, and what the phone is told at each point of it."""

import pytest

from shared.face.endpoint import API_VERSIONS
from tests.support.broker import Broker, running_broker


async def test_person_shows_a_real_face_passes(broker: Broker) -> None:
    """A phone creates a session, performs the check and reads that it passed."""
    session = await broker.created(clientReference="order:4711")
    told = await broker.perform(session)

    answer = await broker.result(session, **{"X-Client-Digest": told["digest"]})

    assert answer.status_code == 200
    assert answer.json() == {
        "sessionId": session["sessionId"],
        "status": "ResultAvailable",
        "createdDateTime": "2027-01-15T08:00:00.000Z",
        "expiresAt": "2027-01-15T08:10:00.000Z",
        "livenessDecision": "realface",
        "passed": True,
        "digestMatches": True,
        "abuseDetected": None,
        "attempts": 1,
        "failure": None,
    }
    assert "Retry-After" not in answer.headers


async def test_session_just_created_tells_when_to_ask_again(broker: Broker) -> None:
    """Before the check the status is NotStarted, nothing has passed, and Retry-After says when to come back."""
    session = await broker.created()

    answer = await broker.result(session)

    body = answer.json()
    assert (body["status"], body["passed"], body["livenessDecision"]) == ("NotStarted", False, None)
    assert (body["attempts"], body["digestMatches"]) == (0, None)
    assert int(answer.headers["Retry-After"]) == body["retryAfterSeconds"] >= 2


@pytest.mark.parametrize(
    ("device_id", "decision", "failure", "passed"),
    [
        ("sim-no-digest", "realface", None, True),
        ("sim-realface-case", "realface", None, True),
        ("sim-spoofface", "spoofface", None, False),
        ("sim-uncertain", "uncertain", None, False),
        ("sim-abuse", "realface", None, None),
        ("sim-third-passes", "spoofface", None, False),
        ("sim-unknown-decision", None, "UnknownDecision", False),
    ],
)
@pytest.mark.parametrize("version", API_VERSIONS)
async def test_only_a_real_face_passes(
    device_id: str, decision: str | None, failure: str | None, passed: bool | None, version: str
) -> None:
    """In every upstream version; an answer that spells `realFace` means the same.

    Abuse (None here) is a failure in the one version that tells it.
    """
    if passed is None:
        passed = version != "v1.3-preview.1"
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created(device_id)
        await broker.perform(session)

        answer = await broker.result(session)
        body = answer.json()

        assert (body["status"], body["passed"]) == ("ResultAvailable", passed)
        assert (body["livenessDecision"], (body["failure"] or {}).get("code")) == (decision, failure)
        # v1.2 gives the token away with each result.
        assert session["authToken"] not in answer.text


@pytest.mark.parametrize("seconds", [600 + 121, 48 * 3600 + 1], ids=["token", "session"])
async def test_unused_session_expires_for_good(broker: Broker, seconds: int) -> None:
    """Some time after the end of its token it has expired; so has a session that Face no longer knows."""
    session = await broker.created()
    broker.clock.advance_seconds(seconds)

    answers = [(await broker.result(session)).json() for _ in range(3)]

    assert [(answer["status"], answer["passed"]) for answer in answers] == [("Expired", False)] * 3
    assert broker.simulator.calls["get"] == 1


async def test_mode_of_the_newer_version_is_taken_there() -> None:
    """PassiveActive exists from v1.2 on."""
    async with running_broker(FACE_API_VERSION="v1.2") as broker:
        assert (await broker.create(livenessOperationMode="PassiveActive")).status_code == 200


async def test_own_name_of_a_device_and_reference_are_not_sent_upstream(broker: Broker) -> None:
    """The header of a device that names itself stays here; the business system's reference is on the record."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationIdSetInClient": True}
    headers = {"X-Device-Correlation-Id": "my-own-name"}

    answer = await broker.http.post(
        "/api/sessions", json=body | {"clientReference": "order:4711"}, headers=headers
    )

    assert answer.status_code == 200
    stored = await broker.app.sessions.get(answer.json()["sessionId"])
    assert stored is not None
    assert stored.record.client_reference == "order:4711"
    [session] = broker.simulator.sessions
    assert not any(text in repr(session) for text in ("my-own-name", "order:4711"))


async def test_result_url_leads_to_the_result() -> None:
    """It is on the host that the request came to, or on the one that the operator names for the region."""
    async with running_broker() as broker:
        session = await broker.created()
        token = {"X-Session-Token": session["authToken"]}
        assert (await broker.http.get(session["resultUrl"], headers=token)).status_code == 200
    async with running_broker(PUBLIC_BASE_URL="https://weu.example") as broker:
        session = await broker.created()
        assert session["resultUrl"] == f"https://weu.example/api/sessions/{session['sessionId']}"


async def test_a_gateway_may_put_a_prefix_in_front() -> None:
    """The gateway takes its prefix off again. The result URL and the OpenAPI document have it."""
    base_url, origin = "https://api.bank.example/liveness", "https://app.bank.example"
    async with running_broker(PUBLIC_BASE_URL=base_url, ALLOWED_ORIGINS=origin) as broker:
        answer = await broker.http.post(
            "/api/sessions",
            json={"livenessOperationMode": "Passive", "deviceCorrelationId": "a"},
            headers={"Origin": origin},
        )
        session = answer.json()
        path = session["resultUrl"].removeprefix(base_url)
        read = await broker.http.get(path, headers={"X-Session-Token": session["authToken"]})
        document = (await broker.http.get("/api/openapi.json")).json()

    assert path == f"/api/sessions/{session['sessionId']}"
    assert read.status_code == 200
    assert document["servers"] == [{"url": f"{base_url}/api"}]
    # An origin has no path: the prefix changes nothing for web pages.
    assert answer.headers["access-control-allow-origin"] == origin
