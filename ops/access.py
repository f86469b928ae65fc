"""The roles that the commands need, and the error that an operator without access gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import AzureError, ServiceRequestError

from ops.output import CommandFailed
from shared.errors import StorageUnavailable

TABLE_READER: Final = "Storage Table Data Reader"
TABLE_WRITER: Final = "Storage Table Data Contributor"
QUEUE_READER: Final = "Storage Queue Data Reader"
QUEUE_WRITER: Final = "Storage Queue Data Contributor"


@contextmanager
def explained(what: str, role: str) -> Iterator[None]:
    """Turn what a call to Azure raises into a `CommandFailed`, which names the role that the call needs."""
    try:
        yield
    except (AzureError, StorageUnavailable, TimeoutError) as fault:
        raise CommandFailed(f"{what}: {_reason(fault, role)}") from fault


def _reason(fault: Exception, role: str) -> str:
    for cause in _chain(fault):
        if isinstance(cause, CommandFailed):
            # The credential raised it while a request was made.
            return str(cause)
        if isinstance(cause, ServiceRequestError):
            return "the storage account cannot be reached: check its name and its network rules"
        if getattr(cause, "status_code", None) in (401, 403):
            return f"access denied: needs role {role}, and the firewall must allow this machine"
    if isinstance(fault, StorageUnavailable):
        return fault.detail
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    code = getattr(fault, "error_code", None) or getattr(fault, "status_code", None) or ""
    return f"failed with {type(fault).__name__} {getattr(code, 'value', code)}".rstrip()


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """Walk from an error to its causes. The SDK fails to parse some refusals, which are then only the context."""
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__
