"""Limits as phones meet them, over HTTP."""

import json
import logging

import pytest

from tests.support.broker import running_broker


async def test_observed_limits_refuse_nobody_and_say_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The count goes on as if the refused requests had been refused."""
    async with running_broker(THROTTLE_DEVICE="2/10m", THROTTLE_MODE="observe") as broker:
        answers = [await broker.create() for _ in range(4)]
        broker.clock.advance_seconds(600)
        caplog.clear()
        answers.append(await broker.create())

    assert [answer.status_code for answer in answers] == [200] * 5
    assert "throttle_would_refuse" not in caplog.text


async def test_observed_refusal_names_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    async with running_broker(THROTTLE_DEVICE="1/10m", THROTTLE_MODE="observe") as broker:
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                await broker.created()

    events = [
        json.loads(record.getMessage()) for record in caplog.records if record.name.startswith("shared")
    ]
    assert [event for event in events if event["event"] == "throttle_would_refuse"] == [
        {"event": "throttle_would_refuse", "limit": "device"}
    ]
