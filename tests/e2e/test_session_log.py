"""What the log says of a session's beginning and end: the alert for missing events compares the two."""

import json
import logging

import pytest

from tests.support.broker import Broker


async def test_each_session_that_is_made_or_revoked_is_logged_once(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """A create that fails, or is answered again, is not logged; a revocation is, also where Face fails then."""
    caplog.set_level(logging.INFO)
    key = {"Idempotency-Key": "a-key-of-the-tests"}
    answers = [await broker.create("sim-delete-500", key, authTokenTimeToLiveInSeconds=120) for _ in range(2)]
    await broker.create("")
    broker.simulator.fail(500, 1)
    await broker.create()
    session = answers[0].json()
    revocations = [await broker.revoke(session) for _ in range(2)]

    events = [json.loads(line) for line in caplog.messages if line.startswith('{"event": "session_')]
    assert [answer.status_code for answer in (*answers, *revocations)] == [200, 200, 502, 502]
    request_id = revocations[0].headers["x-ms-request-id"]
    device = await broker.app.pseudonyms.of("device", "sim-delete-500")
    assert events == [
        {
            "event": "session_created",
            "sessionId": session["sessionId"],
            "device": device,
            "requestId": answers[0].headers["x-ms-request-id"],
            "tokenLifetimeSeconds": 120,
        },
        {
            "event": "session_revoked",
            "sessionId": session["sessionId"],
            "requestId": request_id,
            "device": device,
        },
    ]
