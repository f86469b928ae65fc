"""What ends a command: one line for who runs it, and an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from shared.errors import StorageUnavailable

TABLE_READER: Final = "Storage Table Data Reader"
TABLE_WRITER: Final = "Storage Table Data Contributor"
QUEUE_READER: Final = "Storage Queue Data Reader"
QUEUE_WRITER: Final = "Storage Queue Data Contributor"


class Failure(Exception):
    """The command did not do (all of) what it was asked."""

    status: ClassVar[int] = 1


class Misuse(Failure):
    """The command cannot be done as it was asked: an argument or a setting is wrong or missing."""

    status: ClassVar[int] = 2


@contextmanager
def explained(what: str, role: str) -> Iterator[None]:
    """Around calls to a service: whatever they raise becomes a `Failure` that names the role to have."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except StorageUnavailable as fault:
        raise Failure(_said(fault, what, role) or f"{what}: {fault.detail}") from fault
    except AzureError as fault:
        raise Failure(_said(fault, what, role) or f"{what}: {_named(fault)}") from fault
    except TimeoutError as fault:
        raise Failure(f"{what}: no answer in time") from fault


def _said(fault: Exception, what: str, role: str) -> str | None:
    from azure.core.exceptions import ServiceRequestError

    for cause in _chain(fault):
        if isinstance(cause, Failure):
            # Of the credential, while a request was made.
            return f"{what}: {cause}"
        if isinstance(cause, ServiceRequestError):
            return f"{what}: nobody is there: look at the name of the account, and at its network rules"
        if getattr(cause, "status_code", None) in (401, 403):
            return f"{what}: not let in: it takes the role {role} on the storage account, and a network that it admits"
    return None


def _chain(fault: BaseException | None) -> Iterator[BaseException]:
    """The failure and what it came from: the SDK stumbles over some refusals, which are then only the context."""
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


def _named(fault: Exception) -> str:
    code = getattr(fault, "error_code", None) or getattr(fault, "status_code", None)
    code = getattr(code, "value", code)
    return f"it failed with {type(fault).__name__}" + (f" {code}" if code else "")
