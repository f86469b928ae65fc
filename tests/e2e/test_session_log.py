"""What the log says of a session's beginning and end: the alert for missing events compares the two."""

import json
import logging
from typing import Any

import pytest

from tests.support.broker import Broker


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def _of_sessions(logged: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [record.getMessage() for record in logged.records]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if event["event"] in {"session_created", "session_revoked"}]


async def test_a_created_session_is_logged_with_the_time_it_may_take(
    broker: Broker, logged: pytest.LogCaptureFixture
) -> None:
    """By its id, and nothing that anybody could use it with."""
    session = await broker.created(authTokenTimeToLiveInSeconds=120)

    assert _of_sessions(logged) == [
        {"event": "session_created", "sessionId": session["sessionId"], "tokenLifetimeSeconds": 120}
    ]


async def test_a_session_that_is_answered_again_is_logged_once(
    broker: Broker, logged: pytest.LogCaptureFixture
) -> None:
    """The same key again makes no session."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}
    headers = {"Idempotency-Key": "a-key-of-the-tests"}
    answers = [await broker.http.post("/api/sessions", json=body, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(_of_sessions(logged)) == 1


async def test_a_create_that_fails_is_not_logged_as_one(
    broker: Broker, logged: pytest.LogCaptureFixture
) -> None:
    """Neither refused here nor by Face: no event will follow."""
    await broker.create(device_id="")
    broker.simulator.fail(500)
    await broker.create()

    assert _of_sessions(logged) == []


async def test_a_revoked_session_is_logged(broker: Broker, logged: pytest.LogCaptureFixture) -> None:
    """Also where Face fails at that moment: the session is closed here, and has no event."""
    session = await broker.created()
    broker.simulator.fail(500)
    await broker.revoke(session)

    assert _of_sessions(logged)[1:] == [{"event": "session_revoked", "sessionId": session["sessionId"]}]
