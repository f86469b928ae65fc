"""Revoking a session, through HTTP."""

import pytest

from tests.collect_result.draining import collect_due
from tests.support.broker import Broker, running_broker


def decisions_of_events(broker: Broker) -> list[str]:
    """What the published events say."""
    return [event["data"]["livenessDecision"] for event in broker.events]


async def test_revoked_session_is_gone_everywhere(broker: Broker) -> None:
    """After a DELETE nobody reads the session here, and its token does not work at Face."""
    session = await broker.created()

    answer = await broker.revoke(session)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await broker.result(session)).status_code == 404
    assert broker.simulator.sessions[0].deleted
    token = {"Authorization": f"Bearer {session['authToken']}"}
    assert (await broker.phone.post("/simulator/perform", headers=token)).status_code == 401


async def test_finished_session_is_revoked_once_however_often_it_is_asked(broker: Broker) -> None:
    """A result that was read is withdrawn from the phone; once it is deleted upstream, a repeat asks nobody."""
    session = await broker.created()
    await broker.perform(session)
    await broker.result(session)

    answers = [(await broker.revoke(session)).status_code for _ in range(3)]

    assert (answers, (await broker.result(session)).status_code) == ([204, 204, 204], 404)
    assert broker.simulator.calls["delete"] == 1


async def test_face_cannot_be_read_nothing_is_revoked(broker: Broker) -> None:
    """A check that nobody has seen is not deleted. The same call again, when Face answers, does all of it."""
    session = await broker.created()
    broker.simulator.fail(500)
    failed = await broker.revoke(session)
    broker.simulator.recover()
    open_still = await broker.result(session)

    again = await broker.revoke(session)

    assert (failed.status_code, open_still.status_code, again.status_code) == (502, 200, 204)
    assert broker.simulator.sessions[0].deleted


async def test_face_fails_to_delete_session_is_closed_here_all_the_same(broker: Broker) -> None:
    """The collector deletes it there when it comes; the same call again tries too."""
    session = await broker.created("sim-delete-500")

    answers = [(await broker.revoke(session)).status_code for _ in range(2)]

    assert (answers, (await broker.result(session)).status_code) == ([502, 502], 404)
    assert not broker.simulator.sessions[0].deleted


async def test_session_gone_upstream_is_revoked(broker: Broker) -> None:
    """There is nothing left to delete: that is what was asked for."""
    session = await broker.created()
    broker.clock.advance_seconds(48 * 3600 + 1)

    assert (await broker.revoke(session)).status_code == 204


@pytest.mark.parametrize("again", [True, False], ids=["next DELETE", "collector"])
async def test_check_after_a_deletion_that_failed_counts(again: bool) -> None:
    """The token works at Face until the session is deleted there. What was done with it is found."""
    async with running_broker(THROTTLE_FAILURES="1/1d", THROTTLE_DEVICE="off") as broker:
        session = await broker.created("sim-delete-500")
        await broker.revoke(session)
        await broker.perform(session, outcome="spoofface")

        if again:
            assert (await broker.revoke(session)).status_code == 502
        else:
            broker.clock.advance_seconds(725)
        await collect_due(broker)

        assert (await broker.result(session)).status_code == 404
        assert decisions_of_events(broker) == ["spoofface"]
        assert (await broker.create("sim-delete-500")).status_code == 429
