"""A stand-in for the Azure Functions host: serves a function app on a laptop, with the real host's traps.

What the real host does was observed over loopback (host 4.1037, Python worker 4.34); `serving` says what
could not be copied exactly. Azure's front end, which adds forwarding headers and limits of its own, is not
part of it.
"""

from local.host.host import DEFAULT_BODY_LIMIT, Host
from local.host.indexing import (
    FunctionIndex,
    HttpFunction,
    IndexedFunction,
    IndexingError,
    QueueFunction,
    TimerFunction,
)

__all__ = [
    "DEFAULT_BODY_LIMIT",
    "FunctionIndex",
    "Host",
    "HttpFunction",
    "IndexedFunction",
    "IndexingError",
    "QueueFunction",
    "TimerFunction",
]
