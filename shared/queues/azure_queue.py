"""Azure Queue Storage; the SDK is imported when a queue is opened, and not before."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import KeyUnavailable, StorageUnavailable
from shared.queues.port import MAX_DELAY_SECONDS, MessageQueue

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

_Call = Callable[[], Awaitable[object]]

# Unless it is told so, a queue drops what lies in it for a week: an app that is down for longer would lose events.
_FOR_EVER = -1

_OPTIONS: dict[str, Any] = {
    "use_env_settings": False,
    "permit_redirects": False,
}


@dataclass(frozen=True, slots=True)
class QueueAccount:
    """A storage account that lets the app in by its identity, with the role Storage Queue Data Contributor.

    `endpoint` is `https://ACCOUNT.queue.core.windows.net`. `credential` stays the caller's.
    """

    endpoint: str
    credential: "AsyncTokenCredential" = field(repr=False)


def open_queue(
    account: QueueAccount | str, name: str, *, create: bool = False, deadline: float = 2.0, retries: int = 0
) -> MessageQueue:
    """Make the queue `name` of one process; nothing is sent yet.

    `account` may be a connection string (Azurite). `create` makes the queue where it is missing: for local runs.
    `deadline` is what one call may take, in seconds; `retries` how often it is repeated, where nobody waits for it.
    Raises `ValueError` for an account that cannot be.
    """
    client = queue_client(account, name, deadline=deadline, retries=retries)
    return AzureQueue(client, create=create, deadline=deadline)


def queue_client(
    account: QueueAccount | str, name: str, *, encoded: bool = True, deadline: float = 2.0, retries: int = 0
) -> "QueueClient":
    """The SDK's client of a queue, whose texts are base64 on the wire, as the Functions host expects them.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
    Without `encoded` it hands texts over as they are on the wire.
    """
    from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
    from azure.storage.queue.aio import QueueClient

    policies = {
        "message_encode_policy": TextBase64EncodePolicy(),
        "message_decode_policy": TextBase64DecodePolicy(),
    }
    timeouts = {"connection_timeout": 0.45 * deadline, "read_timeout": 0.9 * deadline}
    options = {**_OPTIONS, "retry_total": retries, **timeouts, **(policies if encoded else {})}
    if isinstance(account, str):
        return QueueClient.from_connection_string(account, name, **options)
    return QueueClient(account.endpoint, name, credential=account.credential, **options)


class AzureQueue:
    """A `MessageQueue` in Azure Queue Storage; each call ends within the deadline (seconds)."""

    def __init__(self, client: "QueueClient", *, create: bool, deadline: float) -> None:
        self._client = client
        self._create = create
        self._deadline = deadline

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message; raises `StorageUnavailable`."""
        delay = min(max(0, round(delay_seconds)), MAX_DELAY_SECONDS)
        await self._call(
            lambda: self._client.send_message(text, visibility_timeout=delay, time_to_live=_FOR_EVER)
        )

    async def check(self) -> None:
        """Ask for the queue's properties; raises `StorageUnavailable`."""
        await self._call(self._client.get_queue_properties)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, call: _Call) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await self._attempt(call)
        except TimeoutError as fault:
            raise StorageUnavailable("the queue did not answer in time") from fault
        except KeyUnavailable as fault:
            raise StorageUnavailable(f"no token for the queue: {fault.detail}") from fault
        except Exception as fault:
            # Besides its own errors the SDK raises whatever its parsing stumbles over in an answer that is none.
            raise StorageUnavailable(_explained(fault)) from fault

    async def _attempt(self, call: _Call) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        try:
            await call()
        except ResourceNotFoundError:
            if not self._create:
                raise
            with suppress(ResourceExistsError):
                await self._client.create_queue()
            await call()


def _explained(fault: Exception) -> str:
    status = getattr(fault, "status_code", None)
    if status in (401, 403):
        return (
            f"the queue refused the app ({status}): its identity needs the role Storage Queue Data Contributor, "
            "and the account's network rules have to admit the app"
        )
    if status == 404:
        return "the queue does not exist, and is to be made by the deployment"
    return f"the queue failed: {type(fault).__name__}" + (f" {status}" if status else "")
