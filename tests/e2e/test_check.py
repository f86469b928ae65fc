"""A check from end to end, and what the phone is told at each point of it."""

import pytest

from tests.support.broker import Broker, running_broker


async def test_person_shows_a_real_face_passes(broker: Broker) -> None:
    """A phone creates a session, performs the check and reads that it passed. Before, it is told when to ask again."""
    session = await broker.created(clientReference="order:4711")
    early = await broker.result(session)
    told = await broker.perform(session)
    broker.clock.advance_seconds(1)

    answer = await broker.result(session, **{"X-Client-Digest": told["digest"]})

    not_started = {
        "sessionId": session["sessionId"],
        "status": "NotStarted",
        "createdDateTime": "2027-01-15T08:00:00.000Z",
        "expiresAt": "2027-01-15T08:10:00.000Z",
        "livenessDecision": None,
        "passed": False,
        "digestMatches": None,
        "abuseDetected": None,
        "attempts": 0,
        "failure": None,
    }
    assert early.json() == not_started | {"retryAfterSeconds": int(early.headers["Retry-After"])}
    assert early.json()["retryAfterSeconds"] >= 2
    passed = {"status": "ResultAvailable", "livenessDecision": "realface", "passed": True}
    assert answer.json() == not_started | passed | {"digestMatches": True, "attempts": 1}
    assert "Retry-After" not in answer.headers


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
    headers = {"X-Device-Correlation-Id": "my-own-name"}
    body = {
        "deviceCorrelationId": None,
        "deviceCorrelationIdSetInClient": True,
        "clientReference": "order:4711",
    }

    answer = await broker.create("", headers, **body)

    assert answer.status_code == 200
    stored = await broker.app.sessions.reload(answer.json()["sessionId"])
    assert stored.record.client_reference == "order:4711"
    [session] = broker.simulator.sessions
    assert not any(text in repr(session) for text in ("my-own-name", "order:4711"))


async def test_result_url_leads_to_the_result(broker: Broker) -> None:
    """It is on the host that the request came to."""
    session = await broker.created()
    token = {"X-Session-Token": session["authToken"]}

    assert (await broker.http.get(session["resultUrl"], headers=token)).status_code == 200


async def test_a_gateway_may_put_a_prefix_in_front() -> None:
    """The gateway takes its prefix off again. The result URL and the OpenAPI document have it."""
    base_url, origin = "https://api.bank.example/liveness", "https://app.bank.example"
    async with running_broker(PUBLIC_BASE_URL=base_url, ALLOWED_ORIGINS=origin) as broker:
        answer = await broker.create("a-device", {"Origin": origin})
        session = answer.json()
        path = session["resultUrl"].removeprefix(base_url)
        read = await broker.http.get(path, headers={"X-Session-Token": session["authToken"]})
        document = (await broker.http.get("/api/openapi.json")).json()

    assert path == f"/api/sessions/{session['sessionId']}"
    assert read.status_code == 200
    assert document["servers"] == [{"url": f"{base_url}/api"}]
    # An origin has no path: the prefix changes nothing for web pages.
    assert answer.headers["access-control-allow-origin"] == origin
