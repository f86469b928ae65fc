"""Runs a timer function in the production engine, as the Functions host does."""

import json

from tests.support.engine import Engine, _TypedData


async def run_timer(engine: Engine, name: str, *, past_due: bool = False) -> None:
    """Run a function with a timer trigger; raises `EngineFailure` where the function raises."""
    information = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {
            "Last": "2026-11-23T13:17:00+00:00",
            "Next": "2026-11-23T14:17:00+00:00",
            "LastUpdated": "2026-11-23T13:17:00+00:00",
        },
        "IsPastDue": past_due,
    }
    await engine._invoke(name, _TypedData(json=json.dumps(information)), {})
