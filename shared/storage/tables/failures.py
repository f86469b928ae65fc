"""Turns errors of the SDK into those of the port."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from shared.azure_transport import asked_pause, headers_of
from shared.errors import EntityChanged, EntityExists, KeyUnavailable, Outcome, StorageUnavailable

TABLE_NOT_FOUND: Final = "TableNotFound"

Meanings = dict[str, type[Outcome]]
"""What the service's error codes mean for one operation; others are failures.

https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes
"""

EXISTS: Final[Meanings] = {"EntityAlreadyExists": EntityExists}

MISSING_OR_CHANGED: Final[Meanings] = dict.fromkeys(
    ("ConditionNotMet", "EntityNotFound", "ResourceNotFound", "UpdateConditionNotSatisfied"), EntityChanged
)

_ADVICE: Final[dict[object, str]] = {
    TABLE_NOT_FOUND: "the table is missing; the deployment creates it",
    401: "the app's credential was not accepted",
    403: (
        "the app's identity needs the role Storage Table Data Contributor on the storage account, "
        "and the account's network rules have to admit the app"
    ),
}


@contextmanager
def translated(meanings: Meanings) -> Iterator[None]:
    """Raise one of the outcomes in `meanings`, or `StorageUnavailable`, for the SDK's errors."""
    try:
        yield
    except KeyUnavailable as fault:
        # The identity endpoint failed, not the table service.
        raise StorageUnavailable(
            f"no token for the table service: {fault.detail}", retry_after=fault.retry_after
        ) from fault
    except HttpResponseError as error:
        raise _answer(error, meanings) from error
    except TimeoutError as error:
        raise StorageUnavailable("the table service did not answer in time") from error
    except Exception as error:
        # The SDK's parser raises all kinds of errors for an answer that is not the table service's. While it
        # parses an error, that error is the context.
        if isinstance(error.__context__, HttpResponseError):
            raise _answer(error.__context__, meanings) from error
        raise StorageUnavailable(
            f"the request to the table service failed: {type(error).__name__}"
        ) from error


def error_code(error: HttpResponseError) -> str:
    """Return the service's error code, or an empty string; the SDK decodes most of them, not all."""
    code = (
        getattr(error, "error_code", None) or headers_of(error).get("x-ms-error-code") or _code_in_body(error)
    )
    return str(getattr(code, "value", code))


def _answer(error: HttpResponseError, meanings: Meanings) -> Outcome | StorageUnavailable:
    code, status = error_code(error), error.status_code
    if code in meanings:
        return meanings[code]()
    if isinstance(error, ClientAuthenticationError) and not error.response:
        return StorageUnavailable(f"no token for the table service: {type(error).__name__}")
    advice = _ADVICE.get(code) or _ADVICE.get(status)
    detail = f"the table service answered {status} {code}".rstrip() + (f": {advice}" if advice else "")
    return StorageUnavailable(detail, retry_after=asked_pause(error))


def _code_in_body(error: HttpResponseError) -> str:
    try:
        return str(json.loads(error.response.text())["odata.error"]["code"]) if error.response else ""
    except (LookupError, TypeError, ValueError):
        return ""
