"""Azure Event Grid. The SDK is imported when a topic is opened, and not before."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from shared.cloud import cloud_of
from shared.errors import EventsUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import PipelineResponse
    from azure.eventgrid.aio import EventGridPublisherClient

    from shared.http import Connections

_LARGEST_ANSWER: Final = 64 << 10
_MAX_WAIT_SECONDS = 3600.0
_DEADLINE_SECONDS: Final = 10.0
"""For one event."""
_ROLE = "the app's identity needs the role EventGrid Data Sender on the topic"
_ADVICE: Final[dict[object, str]] = {
    400: "it does not take the event as it is",
    401: _ROLE,
    403: f"{_ROLE}, and the topic's network rules have to admit the app",
    404: "there is no such topic",
    413: "the event is larger than it takes",
}
"""Why Event Grid refuses: https://learn.microsoft.com/azure/event-grid/troubleshoot-errors."""

# The event itself is refused, each time.
_LASTING = (400, 413)


class EventGridPublisher:
    """A `Publisher` to an Event Grid topic with the CloudEvents schema."""

    def __init__(self, client: "EventGridPublisherClient") -> None:
        self._client = client

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Send an event; raises `EventsUnavailable`."""
        from azure.core.messaging import CloudEvent

        from shared.azure_transport import unavailable

        batch: list[Any] = [CloudEvent.from_dict(dict(event))]
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                await self._client.send(batch)
        except EventsUnavailable:
            raise
        except Exception as fault:
            raise unavailable(
                EventsUnavailable,
                "Event Grid",
                fault,
                _ADVICE,
                lasting=_LASTING,
                longest=_MAX_WAIT_SECONDS,
            ) from fault

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


def open_topic(
    endpoint: str,
    identity: "AsyncTokenCredential",
    connections: "Connections | None" = None,
) -> EventGridPublisher:
    """Make the publisher to a custom topic. The caller closes the identity."""
    from azure.eventgrid.aio import EventGridPublisherClient

    from shared.azure_transport import AzureTransport

    client = EventGridPublisherClient(
        endpoint,
        _Tokens(identity, f"https://{cloud_of(endpoint).events}/.default"),
        transport=AzureTransport(connections, _LARGEST_ANSWER),
        raw_response_hook=_require_taken,
        # The collector retries, with its own delays.
        retry_total=0,
        permit_redirects=False,
    )
    return EventGridPublisher(client)


class _Tokens:
    """A credential for Event Grid in any cloud: the SDK knows the scope of the public one alone."""

    def __init__(self, identity: "AsyncTokenCredential", scope: str) -> None:
        self._identity = identity
        self._scope = scope

    async def get_token(self, *_: str, **options: Any) -> "AccessToken":  # noqa: ANN401 - the SDK's own.
        return await self._identity.get_token(self._scope, **options)

    async def close(self) -> None:
        """The caller closes the identity."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """The caller closes the identity."""


def _require_taken(response: "PipelineResponse[Any, Any]") -> None:
    # Event Grid says that it took an event by 200 and nothing else. A page that asks to sign in has a body.
    http = response.http_response
    if http.status_code == 200 and http.text():
        raise EventsUnavailable("Event Grid answered 200 with a body: it is not its own answer")
