"""What an operator sees of a broker that runs here."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from local.operator_view import OperatorView, RecentLog
from local.queues import message_source
from shared.face.budget import Budget
from shared.storage.port import Entity, Table
from tests.support.broker import Broker, running_broker
from tests.support.store import FakeStore

CEILING = 1000


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker(store=FakeStore()) as broker:
        yield broker


@pytest.fixture
def log(broker: Broker) -> Iterator[RecentLog]:
    with RecentLog(broker.clock) as log:
        yield log


@pytest.fixture
def view(broker: Broker, log: RecentLog) -> OperatorView:
    return OperatorView(broker.app, message_source(broker.app), Budget(CEILING), log)


async def test_quiet_broker(view: OperatorView) -> None:
    """Nothing waits, and nothing went wrong."""
    assert await view.status() == {
        "queue": {"waiting": 0, "poison": 0},
        "owed": 0,
        "face": {"callsPerSecond": CEILING, "ceiling": CEILING},
        "refusals": {},
        "trouble": [],
    }


async def test_session_owes_its_event_from_the_end_of_its_token(broker: Broker, view: OperatorView) -> None:
    """Until then it is only a message in the queue. A revoked session owes nothing."""
    await broker.created()
    await broker.revoke(await broker.created())
    before = await view.status()
    broker.clock.advance_seconds(601)
    after = await view.status()
    assert (before["queue"]["waiting"], before["owed"], after["owed"]) == (2, 0, 1)


async def test_numbers_that_storage_does_not_give_are_null(broker: Broker, view: OperatorView) -> None:
    """A row that cannot be read hides no other part of the view."""
    now = broker.clock()
    await broker.app.store.insert(Table.SESSIONS, Entity("broken", {"created_at": now}, now + 1))
    status = await view.status()
    assert (status["queue"], status["owed"]) == ({"waiting": None, "poison": None}, None)
    assert status["face"]["ceiling"] == CEILING


async def test_refusals_are_counted_by_code(
    broker: Broker, view: OperatorView, caplog: pytest.LogCaptureFixture
) -> None:
    """They are information: no other log of a local run has them."""
    for _ in range(2):
        await broker.http.post("/api/sessions", json={})
    await broker.http.get("/api/health")
    status = await view.status()
    assert (status["refusals"], status["trouble"]) == ({"InvalidLivenessOperationMode": 2}, [])
    assert caplog.messages == []


async def test_dependency_that_fails_is_among_the_recent_errors(
    broker: Broker, view: OperatorView, caplog: pytest.LogCaptureFixture
) -> None:
    """With the broker's own time; the other logs have it as well."""
    broker.simulator.fail(500)
    await broker.create()
    last = (await view.status())["trouble"][-1]
    assert (last["level"], "dependency_failed" in last["text"]) == ("WARNING", True)
    assert last["time"].startswith("2027-01-15T08:00:00")
    assert "dependency_failed" in caplog.text


async def test_readiness_names_what_does_not_answer(broker: Broker, view: OperatorView) -> None:
    """It is that of `GET /api/ready`."""
    broker.simulator.keys = {"another-key"}
    found = {each["name"]: each["problem"] for each in (await view.readiness())["dependencies"]}
    assert "UpstreamUnauthorized" in found.pop("face")
    assert found == dict.fromkeys(("storage", "queue", "secrets"))


async def test_log_is_left_as_it_was(broker: Broker) -> None:
    """A run inside of another process changes none of its logs for good."""
    loggers = [logging.getLogger(), logging.getLogger("shared.web.endpoint")]
    before = [(logger.level, list(logger.handlers), list(logger.filters)) for logger in loggers]
    with RecentLog(broker.clock):
        pass
    assert [(logger.level, logger.handlers, logger.filters) for logger in loggers] == before
