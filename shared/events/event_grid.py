"""Azure Event Grid; the SDK is imported when a topic is opened, and not before."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import EventsUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AzureKeyCredential
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.eventgrid.aio import EventGridPublisherClient

_DEADLINE_SECONDS = 10.0
_OPTIONS: dict[str, Any] = {
    # The collector puts its message back where this fails: its delays are the retries.
    "retry_total": 0,
    "connection_timeout": 2,
    "read_timeout": 8,
    "use_env_settings": False,
    "permit_redirects": False,
}


def open_topic(
    endpoint: str, credential: "AsyncTokenCredential | AzureKeyCredential"
) -> "EventGridPublisher":
    """Make the publisher to a custom topic `https://NAME.REGION-1.eventgrid.azure.net/api/events`.

    The identity needs the role EventGrid Data Sender. The credential stays the caller's. Nothing is sent yet.
    """
    from azure.eventgrid.aio import EventGridPublisherClient

    return EventGridPublisher(EventGridPublisherClient(endpoint, credential, **_OPTIONS))


class EventGridPublisher:
    """A `Publisher` to an Event Grid topic with the CloudEvents schema."""

    def __init__(self, client: "EventGridPublisherClient", *, deadline: float = _DEADLINE_SECONDS) -> None:
        self._client = client
        self._deadline = deadline

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Hand an event over; raises `EventsUnavailable`."""
        from azure.core.exceptions import AzureError

        try:
            async with asyncio.timeout(self._deadline):
                await self._client.send([_sdk_event(event)])
        except TimeoutError as fault:
            raise EventsUnavailable("Event Grid did not answer in time") from fault
        except AzureError as fault:
            raise EventsUnavailable(_explained(fault), retry_after=_wait(fault)) from fault

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def _sdk_event(event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the SDK's CloudEvent, which is loaded late.
    from azure.core.messaging import CloudEvent

    return CloudEvent.from_dict(dict(event))


def _explained(fault: Exception) -> str:
    status = getattr(fault, "status_code", None)
    if status in (401, 403):
        return "Event Grid refused the app: its identity needs the role EventGrid Data Sender on the topic"
    return f"Event Grid failed: {type(fault).__name__}" + (f" {status}" if status else "")


def _wait(fault: Exception) -> float:
    response = getattr(fault, "response", None)
    value = str(response.headers.get("Retry-After", "")) if response is not None else ""
    return float(value) if value.isdecimal() else 1.0
