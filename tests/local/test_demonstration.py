"""The demonstration check, where it fails; `test_run` has the one that passes."""

import pytest

from local.demonstration import demonstrate
from local.event_log import EventLog
from tests.support.broker import Broker, running_broker
from tests.support.publisher import FakePublisher


async def _demonstrated(broker: Broker) -> bool:
    events = EventLog(FakePublisher())
    return await demonstrate(str(broker.http.base_url), str(broker.phone.base_url), events, patience=0)


async def test_demonstration_without_its_event_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A check whose event does not come did not go well."""
    async with running_broker() as broker:
        assert not await _demonstrated(broker)

    assert "no event within 0 seconds" in capsys.readouterr().out


async def test_demonstration_prints_an_error_of_the_broker(capsys: pytest.CaptureFixture[str]) -> None:
    """Status and body of an error are printed."""
    async with running_broker(THROTTLE_DEVICE="1/d") as broker:
        await broker.create("demonstration-device")
        assert not await _demonstrated(broker)

    output = capsys.readouterr().out
    assert "Failed: HTTP 429" in output
    assert "DeviceThrottled" in output


async def test_demonstration_without_a_broker_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """It says who did not answer, without a traceback."""
    closed = "http://127.0.0.1:1"
    assert not await demonstrate(closed, closed, EventLog(FakePublisher()), patience=0)

    assert f"Failed: no answer from {closed}: ClientConnectorError" in capsys.readouterr().out
