"""The retention job as the production engine runs it, and when the host is told to run it."""

import json

import pytest

from shared.app import App
from shared.storage.port import Entity, Table
from tests.contract.decorated import Decorated
from tests.support.engine import Engine
from tests.support.time import FakeClock

DAY_MS = 86_400_000


@pytest.mark.parametrize("past_due", [False, True], ids=["in time", "late"])
async def test_engine_runs_the_purge(engine: Engine, app: App, clock: FakeClock, past_due: bool) -> None:
    """A row that is over is gone after the run, in time or late, and one that is not is there."""
    await app.store.insert(Table.THROTTLE, Entity("device-1", {"created": "1"}, clock() - DAY_MS))
    await app.store.insert(Table.THROTTLE, Entity("device-2", {"created": "1"}, clock() + DAY_MS))

    await engine.timer("purge_expired", past_due=past_due)

    assert await app.store.get(Table.THROTTLE, "device-1") is None
    assert await app.store.get(Table.THROTTLE, "device-2")


def test_purge_is_told_to_run_once_an_hour(decorated: Decorated) -> None:
    """The schedule has six fields, the first of them seconds: one second of one minute of each hour."""
    (binding,) = decorated["purge_expired"].get_raw_bindings()
    second, minute, *rest = json.loads(binding)["schedule"].split()

    assert 0 <= int(second) < 60
    assert 0 <= int(minute) < 60
    assert rest == ["*", "*", "*", "*"]
