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

import httpx

from shared.errors import SettingsError
from shared.events.publisher import Publisher
from shared.text import Sleep

_ORIGIN: Final = "eventgrid.azure.net"
_ANSWER_WITHIN_SECONDS: Final = 30.0
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
        self._http = httpx.AsyncClient(trust_env=False, timeout=_ANSWER_WITHIN_SECONDS)
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
        await self._http.aclose()
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
            if not await self._ask():
                return f"it answered OPTIONS without WebHook-Allowed-Origin: {_ORIGIN}, or *", True
            response = await self._http.post(
                self._url,
                content=json.dumps(event),
                headers={
                    "Content-Type": "application/cloudevents+json; charset=utf-8",
                    "aeg-event-type": "Notification",
                    "aeg-subscription-name": "LOCAL",
                    "aeg-delivery-count": str(earlier_tries),
                },
            )
        except httpx.HTTPError as error:
            return f"{type(error).__name__} {error}".rstrip(), True
        if response.status_code in _TAKEN:
            return None, False
        return f"it answered {response.status_code}", response.status_code not in _NOT_REPEATED

    async def _ask(self) -> bool:
        """Ask the webhook once whether it wants events, as Event Grid does where a subscription is made."""
        if not self._is_granted:
            answer = await self._http.options(self._url, headers={"WebHook-Request-Origin": _ORIGIN})
            self._is_granted = answer.is_success and answer.headers.get("WebHook-Allowed-Origin") in (
                _ORIGIN,
                "*",
            )
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
