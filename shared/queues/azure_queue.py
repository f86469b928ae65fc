"""Azure Queue Storage; the SDK is imported when a queue is opened, and not before."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import StorageUnavailable
from shared.queues.port import MAX_DELAY_SECONDS, MessageQueue

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient

_DEADLINE_SECONDS = 2.0
_OPTIONS: dict[str, Any] = {
    # Sent once: a message that is there twice does no harm, a request that waits for retries does.
    "retry_total": 0,
    "connection_timeout": 1,
    "read_timeout": 2,
    "use_env_settings": False,
}


@dataclass(frozen=True, slots=True)
class QueueAccount:
    """A storage account that lets the app in by its identity, with the role Storage Queue Data Contributor.

    `endpoint` is `https://ACCOUNT.queue.core.windows.net`. `credential` stays the caller's.
    """

    endpoint: str
    credential: "AsyncTokenCredential" = field(repr=False)


def open_queue(account: QueueAccount | str, name: str, *, create: bool = False) -> MessageQueue:
    """Make the queue `name` of one process; nothing is sent yet.

    `account` may be a connection string (Azurite). `create` makes the queue where it is missing: for local runs.
    """
    return AzureQueue(queue_client(account, name), create=create)


def queue_client(account: QueueAccount | str, name: str, *, encoded: bool = True) -> "QueueClient":
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
    options = {**_OPTIONS, **(policies if encoded else {})}
    if isinstance(account, str):
        return QueueClient.from_connection_string(account, name, **options)
    return QueueClient(account.endpoint, name, credential=account.credential, **options)


class AzureQueue:
    """A `MessageQueue` in Azure Queue Storage; each call ends within two seconds."""

    def __init__(self, client: "QueueClient", *, create: bool) -> None:
        self._client = client
        self._create = create

    async def send(self, text: str, delay_seconds: float) -> None:
        """Add a message; raises `StorageUnavailable`."""
        delay = min(max(0, round(delay_seconds)), MAX_DELAY_SECONDS)
        await self._call(lambda: self._client.send_message(text, visibility_timeout=delay))

    async def check(self) -> None:
        """Ask for the queue's properties; raises `StorageUnavailable`."""
        await self._call(self._client.get_queue_properties)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, call: Any) -> None:  # noqa: ANN401 - a call of the SDK, which is loaded late.
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                try:
                    await call()
                except ResourceNotFoundError:
                    if not self._create:
                        raise
                    await self._make()
                    await call()
        except TimeoutError as fault:
            raise StorageUnavailable("the queue did not answer in time") from fault
        except AzureError as fault:
            raise StorageUnavailable(_explained(fault)) from fault

    async def _make(self) -> None:
        from azure.core.exceptions import ResourceExistsError

        try:
            await self._client.create_queue()
        except ResourceExistsError:
            return


def _explained(fault: Exception) -> str:
    status = getattr(fault, "status_code", None)
    if status in (401, 403):
        return "the queue refused the app: its identity needs the role Storage Queue Data Contributor"
    if status == 404:
        return "the queue does not exist"
    return f"the queue failed: {type(fault).__name__}" + (f" {status}" if status else "")
