"""Delivers events to a web server on this machine, as Event Grid delivers CloudEvents to a webhook.

Sources: https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema (the handshake) and
https://learn.microsoft.com/azure/event-grid/delivery-and-retry (statuses and waits; the first hour of them).
"""

import asyncio
import ipaddress
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from shared.errors import SettingsError
from shared.events.publisher import Publisher
from shared.http import Connections
from shared.http_port import NoAnswer
from shared.text import Sleep

_ORIGIN: Final = "eventgrid.azure.net"
_ANSWER_WITHIN_SECONDS: Final = 30.0
_LARGEST_ANSWER: Final = 64 * 1024
_WAITS: Final = (10, 30, 60, 300, 600, 1800)
_TAKEN: Final = range(200, 205)
_NOT_REPEATED: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)

logger = logging.getLogger(__name__)


class WebhookPublisher:
    """A `Publisher` that passes events on to another one, and delivers them to `url` in the background.

    Raises `SettingsError` unless the URL is one of this machine.
    """

    def __init__(self, publisher: Publisher, url: str, *, sleep: Sleep = asyncio.sleep) -> None:
        self._publisher = publisher
        self._url = _local(url)
        self._sleep = sleep
        self._connections = Connections()
        self._http = self._connections.transport(largest_answer=_LARGEST_ANSWER)
        self._is_granted = False
        self._deliveries: set[asyncio.Task[None]] = set()

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Pass the event on, and begin to deliver it; raises `EventsUnavailable` as the other publisher does."""
        await self._publisher.publish(event)
        delivery = asyncio.create_task(self._deliver(event))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def aclose(self) -> None:
        """End the deliveries, and close connections and the other publisher."""
        for delivery in self._deliveries:
            delivery.cancel()
        await self._connections.aclose()
        await self._publisher.aclose()

    async def _deliver(self, event: Mapping[str, Any]) -> None:
        """Try until the webhook takes the event, or for as long as Event Grid's first waits."""
        for tries, wait in enumerate((*_WAITS, None)):
            trouble, may_repeat = await self._try(event, tries)
            if trouble is None:
                return
            if wait is None or not may_repeat:
                logger.error("The webhook did not take event %s, which is given up: %s", event["id"], trouble)
                return
            logger.warning("The webhook did not take event %s, again in %d s: %s", event["id"], wait, trouble)
            await self._sleep(wait)

    async def _try(self, event: Mapping[str, Any], earlier_tries: int) -> tuple[str | None, bool]:
        """Send the event once; returns what went wrong, and whether another try may help."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_SECONDS):
                if not await self._ask():
                    return f"it answered OPTIONS without WebHook-Allowed-Origin: {_ORIGIN}, or *", True
                headers = {
                    "Content-Type": "application/cloudevents+json; charset=utf-8",
                    "aeg-event-type": "Notification",
                    "aeg-subscription-name": "LOCAL",
                    "aeg-delivery-count": str(earlier_tries),
                }
                answer = await self._http.send("POST", self._url, headers, json.dumps(event).encode())
        except NoAnswer as error:
            return str(error), True
        except TimeoutError:
            return f"no answer within {_ANSWER_WITHIN_SECONDS:.0f} s", True
        if answer.status in _TAKEN:
            return None, False
        return f"it answered {answer.status}", answer.status not in _NOT_REPEATED

    async def _ask(self) -> bool:
        """Ask the webhook once whether it wants events, as Event Grid does where a subscription is made."""
        if not self._is_granted:
            answer = await self._http.send("OPTIONS", self._url, {"WebHook-Request-Origin": _ORIGIN})
            allowed = answer.headers.get("WebHook-Allowed-Origin")
            self._is_granted = 200 <= answer.status < 300 and allowed in (_ORIGIN, "*")
        return self._is_granted


def _local(url: str) -> str:
    """Return a URL of this machine; raises `SettingsError` for another one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local or parts.scheme != "http" or parts.username is not None:
        raise SettingsError(
            ["--events-webhook: expected a URL of this machine, as http://127.0.0.1:PORT/path"]
        )
    return url
