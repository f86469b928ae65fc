"""A check from end to end, and what the phone is told at each point of it."""

import pytest

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
    assert int(answer.headers["Retry-After"]) >= 2


@pytest.mark.parametrize(
    ("device_id", "decision", "failure"),
    [
        pytest.param("sim-spoofface", "spoofface", None, id="spoof"),
        pytest.param("sim-uncertain", "uncertain", None, id="uncertain"),
        pytest.param("sim-mask", None, "FaceWithMaskDetected", id="mask"),
        pytest.param("sim-unknown-decision", None, "UnknownDecision", id="unknown decision"),
    ],
)
@pytest.mark.parametrize("version", ["v1.1-preview.1", "v1.2", "v1.3-preview.1"])
async def test_check_that_shows_no_real_face_never_passes(
    device_id: str, decision: str | None, failure: str | None, version: str
) -> None:
    """Whatever else comes of a check than a real face, it did not pass, in every upstream version."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created(device_id)
        await broker.perform(session)

        body = (await broker.result(session)).json()

        assert (body["status"], body["passed"]) == ("ResultAvailable", False)
        assert body["livenessDecision"] == decision
        assert (body["failure"] or {}).get("code") == failure


@pytest.mark.parametrize("version", ["v1.1-preview.1", "v1.2", "v1.3-preview.1"])
async def test_decision_in_another_case_still_passes(version: str) -> None:
    """A stored example of the upstream writes `realFace`: it means the same."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created("sim-realface-case")
        await broker.perform(session)

        assert (await broker.result(session)).json()["passed"] is True


async def test_digest_of_somebody_else_does_not_pass(broker: Broker) -> None:
    """A real face whose digest is not the one that the phone was told is not to be trusted."""
    session = await broker.created("sim-digest-mismatch")
    told = await broker.perform(session)

    body = (await broker.result(session, **{"X-Client-Digest": told["digest"]})).json()

    assert (body["livenessDecision"], body["digestMatches"], body["passed"]) == ("realface", False, False)


async def test_empty_digest_does_not_pass(broker: Broker) -> None:
    """An app that sends the header without the digest of the SDK gets no pass."""
    session = await broker.created()
    await broker.perform(session)

    body = (await broker.result(session, **{"X-Client-Digest": ""})).json()

    assert (body["passed"], body["digestMatches"], body["livenessDecision"]) == (False, False, "realface")


async def test_newest_attempt_counts() -> None:
    """A second attempt that passes stands for the session, however the upstream lists them."""
    async with running_broker(FACE_API_VERSION="v1.2") as broker:
        session = await broker.created("sim-second-passes")
        await broker.perform(session)
        await broker.perform(session)

        body = (await broker.result(session)).json()

        assert (body["passed"], body["attempts"]) == (True, 2)


async def test_final_answer_costs_no_upstream_call(broker: Broker) -> None:
    """Once the result is known it comes from the record, however often it is asked for."""
    session = await broker.created()
    await broker.perform(session)
    first = (await broker.result(session)).json()

    for _ in range(20):
        broker.clock.advance_seconds(5)
        assert (await broker.result(session)).json() == first
    assert broker.simulator.calls["get"] == 1


async def test_poll_that_comes_too_soon_gets_the_last_known_state(broker: Broker) -> None:
    """More than one poll a second is answered from the record, not by the upstream."""
    session = await broker.created()
    await broker.result(session)
    await broker.perform(session)

    soon = await broker.result(session)
    broker.clock.advance_seconds(1)
    later = await broker.result(session)

    assert (soon.status_code, soon.json()["status"]) == (200, "NotStarted")
    assert later.json()["status"] == "ResultAvailable"
    assert broker.simulator.calls["get"] == 2


async def test_check_that_nobody_made_expires(broker: Broker) -> None:
    """Some time after the token's end an unused session has expired for good."""
    session = await broker.created(authTokenTimeToLiveInSeconds=60)
    broker.clock.advance_seconds(60 + 121)

    answers = [(await broker.result(session)).json()["status"] for _ in range(3)]

    assert answers == ["Expired"] * 3
    assert broker.simulator.calls["get"] == 1


async def test_session_gone_upstream_has_expired(broker: Broker) -> None:
    """A session that Face no longer knows ends as expired, not as an error."""
    session = await broker.created()
    broker.clock.advance_seconds(48 * 3600 + 1)

    body = (await broker.result(session)).json()

    assert (body["status"], body["passed"]) == ("Expired", False)


async def test_operator_hides_decisions_phone_sees_status_only() -> None:
    """With RESULT_VISIBILITY=status the answer holds nothing that tells the decision."""
    async with running_broker(RESULT_VISIBILITY="status") as broker:
        session = await broker.created()
        await broker.perform(session)

        body = (await broker.result(session)).json()

        assert body.keys() == {"sessionId", "status", "createdDateTime", "expiresAt"}
        assert body["status"] == "ResultAvailable"


async def test_upstream_token_in_the_result_is_never_passed_on() -> None:
    """v1.2 gives the auth token away with each result; the broker's answer does not hold it."""
    async with running_broker(FACE_API_VERSION="v1.2") as broker:
        session = await broker.created()
        await broker.perform(session)

        answer = await broker.result(session)

        assert session["authToken"] not in answer.text


async def test_mode_of_the_newer_version_is_taken_there() -> None:
    """PassiveActive exists from v1.2 on."""
    async with running_broker(FACE_API_VERSION="v1.2") as broker:
        assert (await broker.create(livenessOperationMode="PassiveActive")).status_code == 200


async def test_device_that_names_itself_is_not_named_upstream(broker: Broker) -> None:
    """With deviceCorrelationIdSetInClient the device's header stays here, and the phone tells Face itself."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationIdSetInClient": True}
    headers = {"X-Device-Correlation-Id": "my-own-name"}

    answer = await broker.http.post("/api/sessions", json=body, headers=headers)

    assert answer.status_code == 200
    [session] = broker.simulator.sessions
    assert "my-own-name" not in repr(session)


async def test_client_reference_is_kept_and_not_sent_upstream(broker: Broker) -> None:
    """The business system's reference is on the record for its event, and Face never sees it."""
    session = await broker.created(clientReference="order:4711")

    stored = await broker.app.sessions.get(session["sessionId"])

    assert stored is not None
    assert stored.record.client_reference == "order:4711"
    assert "order:4711" not in repr(broker.simulator.sessions)


async def test_result_url_leads_to_the_result(broker: Broker) -> None:
    """The URL in the create's answer is the one to read the result at."""
    session = await broker.created()

    answer = await broker.http.get(session["resultUrl"], headers={"X-Session-Token": session["authToken"]})

    assert answer.status_code == 200


async def test_result_url_names_the_regions_own_host() -> None:
    """Where the operator says under which URL this region is reached, that is what phones are given."""
    async with running_broker(PUBLIC_BASE_URL="https://weu.example") as broker:
        session = await broker.created()

        assert session["resultUrl"] == f"https://weu.example/api/sessions/{session['sessionId']}"
