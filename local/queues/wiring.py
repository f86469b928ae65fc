"""Puts a pump between the queue of an app and the function that takes its messages."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from local.host import Host
from local.queues.memory import MemorySource
from local.queues.options import QueueOptions
from local.queues.pump import QueuePump
from local.queues.source import MessageSource
from local.queues.storage import StorageSource
from shared.app import App
from shared.errors import SettingsError
from shared.queues.memory import MemoryQueue
from shared.queues.port import RESULTS_QUEUE

_LONGEST_POLL_SECONDS = 0.5
"""Somebody at a laptop waits for the event, and looking costs nothing there."""


def queue_pump(
    app: App,
    host: Host,
    host_json: Mapping[str, Any],
    *,
    source: MessageSource | None = None,
    lease_seconds: float | None = None,
) -> QueuePump:
    """Make the pump of `liveness-results`; it takes nothing before it is told to.

    `lease_seconds` takes the place of the host's ten minutes. Raises `SettingsError` where the queue needs an identity,
    which only Azure gives.
    """
    options = QueueOptions.parse(host_json)
    options = replace(
        options,
        longest_poll=min(options.longest_poll, _LONGEST_POLL_SECONDS),
        lease=lease_seconds or options.lease,
    )
    function = next(function for function in host.queues if function.queue_name == RESULTS_QUEUE)
    invoke = partial(host.invoke_queue, function.name)
    return QueuePump(source or _source(app), invoke, options, name=RESULTS_QUEUE)


def _source(app: App) -> MessageSource:
    if isinstance(app.queue, MemoryQueue):
        return MemorySource(app.queue)
    connection = app.settings.storage_connection
    if connection is None:
        raise SettingsError(["AzureWebJobsStorage: expected a connection string where the app runs locally"])
    return StorageSource(connection.reveal(), RESULTS_QUEUE)
