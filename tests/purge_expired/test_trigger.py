"""The trigger of the retention job, run by an operator on the local host."""

import logging

import pytest

from tests.support.broker import FUNCTION_KEY, running_broker

KEY = {"x-functions-key": "master-key-of-the-tests"}
RUN = "/admin/functions/purge_expired"
THIRTY_DAYS = 30 * 86_400


async def test_purged_session_is_unknown() -> None:
    """After its days a session is gone from the store."""
    async with running_broker() as broker:
        session = await broker.created()
        assert (await broker.revoke(session)).status_code == 204
        audit = f"/api/sessions/{session['sessionId']}/audit"
        broker.clock.advance_seconds(THIRTY_DAYS + 3_600)
        before = await broker.http.get(audit, headers={"x-functions-key": FUNCTION_KEY})

        answer = await broker.http.post(RUN, headers=KEY, json={})
        # The run is in the background; the host waits for it when it stops.
        await broker.host.stop()
        gone = await broker.app.sessions.get(session["sessionId"])

    assert (before.status_code, answer.status_code, gone) == (200, 202, None)


async def test_line_that_was_late_is_written_by_the_next_run(caplog: pytest.LogCaptureFixture) -> None:
    """The host would have dropped it."""
    async with running_broker() as broker:
        broker.app.background_log.keep(logging.getLogger("shared"), logging.WARNING, {"event": "late"})
        await broker.http.post(RUN, headers=KEY, json={})
        await broker.host.stop()
    assert '{"event": "late", ' in caplog.text
