"""Azure Event Grid; the SDK is imported when a topic is opened, and not before."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import EventsUnavailable, KeyUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AzureKeyCredential
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.eventgrid.aio import EventGridPublisherClient

_MAX_WAIT_SECONDS = 3600.0
_REASONS = {
    400: "it does not take the event as it is",
    401: "the app's identity needs the role EventGrid Data Sender on the topic",
    403: (
        "the app's identity needs the role EventGrid Data Sender on the topic, "
        "and the topic's network rules have to admit the app"
    ),
    404: "there is no such topic",
    413: "the event is larger than it takes",
}
"""What it means when Event Grid refuses: https://learn.microsoft.com/azure/event-grid/troubleshoot-errors."""

_LASTING = (400, 413)
"""Refusals of the event itself, which is the same each time."""

_OPTIONS: dict[str, Any] = {
    # The collector puts its message back where this fails: its delays are the retries.
    "retry_total": 0,
    "use_env_settings": False,
    "permit_redirects": False,
}


def open_topic(
    endpoint: str, credential: "AsyncTokenCredential | AzureKeyCredential", *, deadline: float = 10.0
) -> "EventGridPublisher":
    """Make the publisher to a custom topic `https://NAME.REGION-1.eventgrid.azure.net/api/events`.

    The identity needs the role EventGrid Data Sender. The credential stays the caller's. Nothing is sent yet.
    `deadline` is what one event may take, in seconds.
    """
    from azure.eventgrid.aio import EventGridPublisherClient

    timeouts: dict[str, Any] = {"connection_timeout": 0.2 * deadline, "read_timeout": 0.8 * deadline}
    client = EventGridPublisherClient(endpoint, credential, **_OPTIONS, **timeouts)
    return EventGridPublisher(client, deadline=deadline)


class EventGridPublisher:
    """A `Publisher` to an Event Grid topic with the CloudEvents schema."""

    def __init__(self, client: "EventGridPublisherClient", *, deadline: float) -> None:
        self._client = client
        self._deadline = deadline

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Hand an event over; raises `EventsUnavailable`."""
        batch = [_sdk_event(event)]
        try:
            async with asyncio.timeout(self._deadline):
                await self._client.send(batch)
        except TimeoutError as fault:
            raise EventsUnavailable("Event Grid did not answer in time") from fault
        except KeyUnavailable as fault:
            raise EventsUnavailable(
                f"no token for Event Grid: {fault.detail}", retry_after=fault.retry_after
            ) from fault
        except Exception as fault:
            # Besides its own errors the SDK raises whatever its parsing stumbles over in an answer that is none.
            raise EventsUnavailable(
                _explained(fault), retry_after=_wait(fault), lasting=_status(fault) in _LASTING
            ) from fault

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def _sdk_event(event: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the SDK's CloudEvent, which is loaded late.
    from azure.core.messaging import CloudEvent

    return CloudEvent.from_dict(dict(event))


def _status(fault: Exception) -> int | None:
    from azure.core.exceptions import ResourceNotFoundError

    # For this status alone the SDK raises an error of its own making, without the answer.
    return 404 if isinstance(fault, ResourceNotFoundError) else getattr(fault, "status_code", None)


def _explained(fault: Exception) -> str:
    status = _status(fault)
    if status is None:
        return f"Event Grid did not answer usably: {type(fault).__name__}"
    reason = _REASONS.get(status)
    return f"Event Grid answered {status}" + (f": {reason}" if reason else "")


def _wait(fault: Exception) -> float:
    response = getattr(fault, "response", None)
    value = str(response.headers.get("Retry-After", "")) if response is not None else ""
    return min(float(value), _MAX_WAIT_SECONDS) if value.isascii() and value.isdecimal() else 1.0
