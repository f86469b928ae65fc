"""Events on their way to a webhook of this machine."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from local.webhook import WebhookPublisher
from shared.errors import SettingsError
from shared.events.publisher import MemoryPublisher
from tests.support.raw_server import TOO_SLOW, RawServer
from tests.support.webhook import Webhook, running_webhook

EVENT = {"specversion": "1.0", "id": "1", "type": "liveness.session.completed", "data": {"passed": True}}


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    async with running_webhook() as webhook:
        yield webhook


class Waits:
    """Notes each wait, and does not wait; `over` is set by the wait after which nothing is tried any more."""

    def __init__(self, last: int | None = None) -> None:
        self.seconds: list[float] = []
        self.over = asyncio.Event()
        self._last = last

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if len(self.seconds) == self._last:
            self.over.set()
            await asyncio.Event().wait()


async def publish(url: str, last: asyncio.Event, sleep: Waits) -> None:
    """Publish the event, and wait for the last thing that comes of it."""
    publisher = WebhookPublisher(MemoryPublisher(), url, sleep=sleep)
    await publisher.publish(EVENT)
    await last.wait()
    await publisher.aclose()


async def test_event_comes_as_event_grid_delivers_it(webhook: Webhook) -> None:
    """One handshake, then each event as one structured CloudEvent; the publisher behind it gets the event too."""
    behind = MemoryPublisher()
    publisher = WebhookPublisher(behind, webhook.url)
    for _ in range(2):
        webhook.taken.clear()
        await publisher.publish(EVENT)
        await webhook.taken.wait()
    await publisher.aclose()

    methods, headers, bodies = zip(*webhook.requests, strict=True)
    assert methods == ("OPTIONS", "POST", "POST")
    assert headers[0]["WebHook-Request-Origin"] == "eventgrid.azure.net"
    assert headers[1]["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert (headers[1]["aeg-event-type"], headers[1]["aeg-delivery-count"]) == ("Notification", "0")
    assert (bodies[1:], behind.events) == ((EVENT, EVENT), [EVENT, EVENT])


async def test_event_is_tried_again_with_event_grids_waits(webhook: Webhook) -> None:
    """Each try has its number. The broker's own publishing is not held up."""
    webhook.statuses = [500, 503, 302]
    waits = Waits()
    await publish(webhook.url, webhook.taken, waits)

    assert waits.seconds == [10, 30, 60]
    counts = [headers["aeg-delivery-count"] for method, headers, _ in webhook.requests if method == "POST"]
    assert counts == ["0", "1", "2", "3"]


async def test_webhook_without_the_handshake_gets_no_event(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which header is missing."""
    webhook.granted = None
    waits = Waits(last=2)
    await publish(webhook.url, waits.over, waits)

    assert {method for method, _, _ in webhook.requests} == {"OPTIONS"}
    assert "without WebHook-Allowed-Origin: eventgrid.azure.net" in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_some_refusals_are_final(
    webhook: Webhook, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Event Grid does not repeat what the webhook refused for good."""
    logged = asyncio.Event()

    def note(_record: logging.LogRecord) -> bool:
        logged.set()
        return True

    caplog.handler.addFilter(note)
    webhook.statuses = [status]
    await publish(webhook.url, logged, Waits())

    assert f"given up: it answered {status}" in caplog.text


async def test_webhook_that_is_down_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A refused connection is a failed try, and no traceback."""
    waits = Waits(last=1)
    await publish("http://127.0.0.1:1/", waits.over, waits)

    assert "again in 10 s: ClientConnectorError" in caplog.text


async def test_webhook_that_hangs_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Event Grid waits 30 seconds for an answer."""
    waits = Waits(last=1)
    async with RawServer(TOO_SLOW) as server:
        await publish(server.url, waits.over, waits)

    assert "again in 10 s: no answer within 30 s" in caplog.text


NOT_HERE = """
    https://127.0.0.1/ http://example.com/ http://10.0.0.1/ http://127.0.0.1:port/ orders
    http://127.0.0.1.example.com/ http://u@127.0.0.1/ http://127.0.0.1@example.com/ http://
"""


@pytest.mark.parametrize("url", NOT_HERE.split())
def test_only_a_webhook_of_this_machine_is_taken(url: str) -> None:
    """Results of people's checks do not leave the machine."""
    with pytest.raises(SettingsError) as error:
        WebhookPublisher(MemoryPublisher(), url)
    assert error.value.lines[0].startswith("--events-webhook: expected a URL of this machine")
