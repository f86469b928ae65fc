"""What a session costs upstream, counted at the simulator, from its first request to its end."""

import pytest

from shared.face.endpoint import API_VERSIONS
from tests.collect_result.draining import collect_all, waiting_messages
from tests.support.broker import Broker, running_broker

POLLS = 50


async def poll(broker: Broker, session: dict[str, str], seconds: float) -> str:
    """Ask for the result, and wait; answers the status."""
    answer = await broker.result(session)
    assert answer.status_code == 200, answer.text
    broker.clock.advance_seconds(seconds)
    return str(answer.json()["status"])


@pytest.mark.parametrize("polls", [True, False], ids=["polls", "never polls"])
@pytest.mark.parametrize("checks", [True, False], ids=["checks", "never checks"])
@pytest.mark.parametrize("version", API_VERSIONS)
async def test_session_costs_three_calls(version: str, checks: bool, polls: bool) -> None:
    """Create, one read, one deletion: however often its phone polls after its check, and whatever collects it.

    The first version's result shows the last attempt alone, so that its audit is read too: once.
    """
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        if checks:
            await broker.perform(session)
            for _ in range(POLLS * polls):
                assert await poll(broker, session, 0.1) == "ResultAvailable"
        await collect_all(broker)
        statuses = {await poll(broker, session, 10) for _ in range(POLLS * polls)}

        assert statuses <= {"ResultAvailable" if checks else "Expired"}
        audit = {"audit": 1} if version == API_VERSIONS[0] else {}
        assert upstream_calls(broker) == {"create": 1, "get": 1, "delete": 1} | audit
        assert await is_ended(broker, session)


async def test_phone_that_revokes_costs_four_calls(broker: Broker) -> None:
    """A session that was called off is read before that and before its deletion, so that no check is hidden."""
    session = await broker.created()
    await broker.revoke(session)
    await collect_all(broker)

    assert upstream_calls(broker) == {"create": 1, "get": 2, "delete": 1}


@pytest.mark.parametrize(("per_second", "expected"), [(10, 5), (5, 10), (1, 24)])
async def test_polls_before_the_check_cost_one_read_a_second_at_most(per_second: int, expected: int) -> None:
    """With THROTTLE_RESULT at its default, polls that come faster are answered from the record.

    After ten seconds without a start of the check, reads get fewer.
    """
    async with running_broker() as broker:
        session = await broker.created()
        before = [await poll(broker, session, 1 / per_second) for _ in range(POLLS)]
        reads = upstream_calls(broker)["get"]
        await broker.perform(session)
        broker.clock.advance_seconds(5)
        after = [await poll(broker, session, 1 / per_second) for _ in range(POLLS)]
        await collect_all(broker)

        assert reads == expected
        assert (set(before), set(after)) == ({"NotStarted"}, {"ResultAvailable"})
        assert upstream_calls(broker) == {"create": 1, "get": reads + 1, "audit": 1, "delete": 1}


def upstream_calls(broker: Broker) -> dict[str, int]:
    """How often each operation was called at Face."""
    return {name: count for name, count in broker.simulator.calls.items() if count}


async def is_ended(broker: Broker, session: dict[str, str]) -> bool:
    """Whether the session's event was taken, Face was told to forget it, and no message is left."""
    stored = await broker.app.sessions.reload(session["sessionId"])
    ended = stored.record.published_at is not None and stored.record.deleted_upstream
    return ended and not waiting_messages(broker)
