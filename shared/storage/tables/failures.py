"""Turns errors of the SDK into those of the port."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import HttpResponseError

from shared.azure_transport import headers_of, unavailable
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
    except Exception as error:
        fault = error
        known = HttpResponseError | KeyUnavailable | TimeoutError
        if not isinstance(error, known) and isinstance(error.__context__, HttpResponseError):
            # The SDK failed to parse this refusal.
            fault = error.__context__
        code = error_code(fault) if isinstance(fault, HttpResponseError) else ""
        if code in meanings:
            raise meanings[code]() from error
        raise unavailable(StorageUnavailable, "the table service", fault, _ADVICE, code=code) from error


def error_code(error: HttpResponseError) -> str:
    """Return the service's error code, or an empty string; the SDK decodes most of them, not all."""
    code = (
        getattr(error, "error_code", None) or headers_of(error).get("x-ms-error-code") or _code_in_body(error)
    )
    return str(getattr(code, "value", code))


def _code_in_body(error: HttpResponseError) -> str:
    try:
        return str(json.loads(error.response.text())["odata.error"]["code"]) if error.response else ""
    except (LookupError, TypeError, ValueError):
        return ""
