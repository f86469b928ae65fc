"""The error catalogue: one row for each error code of the contract, from which answers and documents are made."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from shared.errors import (
    BrokerError,
    ClientThrottled,
    DeviceThrottled,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InternalError,
    InvalidDeviceCorrelationId,
    InvalidIdempotencyKey,
    InvalidLivenessOperationMode,
    InvalidMediaType,
    InvalidRequestBody,
    InvalidStart,
    InvalidTokenLifetime,
    InvalidTop,
    KeyUnavailable,
    LengthRequired,
    MethodNotAllowed,
    RequestTooLarge,
    RouteNotFound,
    SessionNotFound,
    StorageUnavailable,
    Throttled,
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)


@dataclass(frozen=True, slots=True)
class Row:
    """How one error is answered.

    `message` may hold `{...}` fields that `values` fills in from the error; `what_to_do` is for who writes the app on
    the phone.
    """

    error: type[BrokerError]
    status: HTTPStatus
    message: str
    what_to_do: str
    values: Callable[[BrokerError], dict[str, str]] = lambda _: {}

    @property
    def code(self) -> str:
        """The code in the body and in the header `x-ms-error-code`."""
        return self.error.code

    def render(self, error: BrokerError) -> str:
        """The message for this error."""
        return self.message.format(**self.values(error))


def whole_seconds(wait: float) -> int:
    """A waiting time rounded up to whole seconds, at least one: never earlier than the truth."""
    return max(1, math.ceil(wait))


def _lifetime(error: BrokerError) -> dict[str, str]:
    assert isinstance(error, InvalidTokenLifetime)  # noqa: S101 - the row's own class.
    return {"maximum": str(error.maximum)}


def _modes(error: BrokerError) -> dict[str, str]:
    assert isinstance(error, InvalidLivenessOperationMode)  # noqa: S101 - the row's own class.
    return {"modes": " or ".join(f"'{mode}'" for mode in error.modes)}


def _seconds(error: BrokerError) -> dict[str, str]:
    assert isinstance(error, Throttled)  # noqa: S101 - the row's own class.
    return {"seconds": str(whole_seconds(error.retry_after))}


_THROTTLED = "Rate limit is exceeded. Try again in {seconds} seconds."
_WAIT = "Wait as long as Retry-After says, then send the same request again."
_FIX = "Correct the request; the same one will be refused again."

CATALOGUE: tuple[Row, ...] = (
    # The wording of the 400s, of SessionNotFound, BadArgument and the 429s is that of the v1.1-preview.1 page.
    Row(
        InvalidRequestBody,
        HTTPStatus.BAD_REQUEST,
        "Incorrect request body provided. Please check the operation schema and try again.",
        _FIX,
    ),
    Row(
        InvalidTokenLifetime,
        HTTPStatus.BAD_REQUEST,
        "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to {maximum}.",
        _FIX,
        _lifetime,
    ),
    Row(
        InvalidLivenessOperationMode,
        HTTPStatus.BAD_REQUEST,
        "Invalid livenessOperationMode specified. Must be {modes}.",
        _FIX,
        _modes,
    ),
    Row(
        InvalidDeviceCorrelationId,
        HTTPStatus.BAD_REQUEST,
        "A device correlation id is required in the request body during session create or session start. "
        "Must not be null or empty, and be no more than 64 characters.",
        "Send deviceCorrelationId, or deviceCorrelationIdSetInClient with the header X-Device-Correlation-Id.",
    ),
    Row(
        InvalidIdempotencyKey,
        HTTPStatus.BAD_REQUEST,
        "Invalid Idempotency-Key specified. Must be 16 to 128 characters of A-Z, a-z, 0-9, underscore and hyphen.",
        _FIX,
    ),
    # The wording of these two: https://learn.microsoft.com/azure/ai-services/face/reference-face-error-codes
    Row(
        InvalidStart,
        HTTPStatus.BAD_REQUEST,
        "Start parameter is invalid. "
        "Please specify the 'Id' field of the last entry to continue the listing process.",
        _FIX,
    ),
    Row(
        InvalidTop,
        HTTPStatus.BAD_REQUEST,
        "Top parameter is invalid. Valid range is between 1 and 1000 inclusive.",
        _FIX,
    ),
    Row(
        SessionNotFound,
        HTTPStatus.NOT_FOUND,
        "Session Id is not found. The session id is expired or does not exist.",
        "Create a new session. Unknown, foreign, revoked and purged sessions are answered alike.",
    ),
    Row(RouteNotFound, HTTPStatus.NOT_FOUND, "There is nothing at this path.", "Correct the path."),
    Row(
        MethodNotAllowed,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This path does not take this method.",
        "Use a method that the header Allow names.",
    ),
    Row(
        LengthRequired,
        HTTPStatus.LENGTH_REQUIRED,
        "The request body must be sent with a Content-Length.",
        "Send the body whole, not in chunks.",
    ),
    Row(
        RequestTooLarge,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request body is larger than 4096 bytes.",
        _FIX,
    ),
    Row(
        InvalidMediaType,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Invalid Media Type.",
        "Send Content-Type: application/json and no Content-Encoding.",
    ),
    Row(
        IdempotencyInProgress,
        HTTPStatus.CONFLICT,
        "The first request with this Idempotency-Key has not ended yet.",
        _WAIT,
    ),
    Row(
        IdempotencyKeyReused,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used with another request, or for a session that was revoked since.",
        "Make a new key for each new request.",
    ),
    Row(
        DeviceThrottled,
        HTTPStatus.TOO_MANY_REQUESTS,
        _THROTTLED,
        "Tell the person how long to wait; the device has asked for too many checks.",
        _seconds,
    ),
    Row(
        ClientThrottled,
        HTTPStatus.TOO_MANY_REQUESTS,
        _THROTTLED,
        "Tell the person how long to wait; too many calls came from this caller or its network.",
        _seconds,
    ),
    Row(
        UpstreamFailure,
        HTTPStatus.BAD_GATEWAY,
        "The liveness service failed.",
        "Try again after a pause; each try with the same Idempotency-Key.",
    ),
    Row(
        UpstreamUnauthorized,
        HTTPStatus.BAD_GATEWAY,
        "The liveness service refused this service's credential.",
        "Try again later; the operator has to act.",
    ),
    Row(UpstreamThrottled, HTTPStatus.SERVICE_UNAVAILABLE, "The liveness service is busy.", _WAIT),
    Row(
        UpstreamQuotaExceeded,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The call volume of the liveness service is used up.",
        _WAIT,
    ),
    Row(StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The service's store is not available.", _WAIT),
    Row(KeyUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The service's credential is not available.", _WAIT),
    Row(
        UpstreamTimeout,
        HTTPStatus.GATEWAY_TIMEOUT,
        "The liveness service did not answer in time.",
        "Try again after a pause; each try with the same Idempotency-Key.",
    ),
    Row(
        InternalError,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The service failed. Quote the request id to its operator.",
        "Try again later, and quote the request id to the operator.",
    ),
)

ROW_OF: dict[type[BrokerError], Row] = {row.error: row for row in CATALOGUE}
