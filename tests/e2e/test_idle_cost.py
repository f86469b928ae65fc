"""What a session costs upstream, counted at the simulator, from its first request to its end."""

import pytest

from tests.collect_result.draining import collect_all, waiting_messages
from tests.support.broker import Broker, running_broker

VERSIONS = ["v1.1-preview.1", "v1.2", "v1.3-preview.1"]
POLLS = 50


async def poll(broker: Broker, session: dict[str, str], seconds: float) -> str:
    """Ask for the result, and wait; answers the status."""
    answer = await broker.result(session)
    assert answer.status_code == 200, answer.text
    broker.clock.advance_seconds(seconds)
    return str(answer.json()["status"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_phone_that_polls_after_its_check_costs_three_calls(version: str) -> None:
    """Create, one read, one deletion: however often it polls, and whatever collects the result."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        await broker.perform(session)
        statuses = {await poll(broker, session, 0.1) for _ in range(POLLS)}
        await collect_all(broker)
        statuses |= {await poll(broker, session, 10) for _ in range(POLLS)}

        assert statuses == {"ResultAvailable"}
        assert upstream_calls(broker) == {"create": 1, "get": 1, "delete": 1}
        assert await is_ended(broker, session)


@pytest.mark.parametrize("version", VERSIONS)
async def test_phone_that_never_polls_costs_three_calls(version: str) -> None:
    """The sweep reads what nobody asked for, once."""
    async with running_broker(FACE_API_VERSION=version) as broker:
        session = await broker.created()
        await broker.perform(session)
        await collect_all(broker)

        assert upstream_calls(broker) == {"create": 1, "get": 1, "delete": 1}
        assert await is_ended(broker, session)


async def test_check_that_nobody_makes_costs_three_calls(broker: Broker) -> None:
    """An unused session is looked at once, when its token has ended, and deleted."""
    session = await broker.created()
    await collect_all(broker)

    assert upstream_calls(broker) == {"create": 1, "get": 1, "delete": 1}
    assert await is_ended(broker, session)


async def test_phone_that_revokes_costs_two_calls(broker: Broker) -> None:
    """A session that was called off is not read."""
    session = await broker.created()
    await broker.revoke(session)
    await collect_all(broker)

    assert upstream_calls(broker) == {"create": 1, "delete": 1}


@pytest.mark.parametrize("per_second", [10, 5, 1])
async def test_polls_before_the_check_cost_one_read_a_second_at_most(per_second: int) -> None:
    """With THROTTLE_RESULT at its default, polls that come faster are answered from the record."""
    async with running_broker() as broker:
        session = await broker.created()
        before = [await poll(broker, session, 1 / per_second) for _ in range(POLLS)]
        reads = upstream_calls(broker)["get"]
        await broker.perform(session)
        broker.clock.advance_seconds(1)
        after = [await poll(broker, session, 1 / per_second) for _ in range(POLLS)]
        await collect_all(broker)

        assert reads == POLLS / per_second
        assert (set(before), set(after)) == ({"NotStarted"}, {"ResultAvailable"})
        assert upstream_calls(broker) == {"create": 1, "get": reads + 1, "delete": 1}


async def test_polls_that_wait_as_they_are_told_cost_one_read_in_two_seconds(broker: Broker) -> None:
    """A phone that keeps to `Retry-After` while a check of twelve seconds lasts is read for six times before."""
    session = await broker.created()
    for _ in range(6):
        answer = await broker.result(session)
        broker.clock.advance_seconds(float(answer.headers["Retry-After"]))
    await broker.perform(session)
    await poll(broker, session, 2)
    await collect_all(broker)

    assert upstream_calls(broker) == {"create": 1, "get": 7, "delete": 1}


def upstream_calls(broker: Broker) -> dict[str, int]:
    """How often each operation was called at Face."""
    return {name: count for name, count in broker.simulator.calls.items() if count}


async def is_ended(broker: Broker, session: dict[str, str]) -> bool:
    """Whether the session's event was taken, Face was told to forget it, and no message is left."""
    stored = await broker.app.sessions.get(session["sessionId"])
    assert stored is not None
    ended = stored.record.published_at is not None and stored.record.deleted_upstream
    return ended and not waiting_messages(broker)
