"""The error catalogue: one row for each error code. Responses and documents are made from it."""

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
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """How one error is answered.

    `message` may hold `{error.…}`, which is filled in from the error, and `{seconds}`, its wait in whole seconds.
    `what_to_do` is for the developer of the app on the phone.
    """

    error: type[BrokerError]
    status: HTTPStatus
    message: str
    what_to_do: str

    @property
    def code(self) -> str:
        """The code in the body and in the header `x-ms-error-code`."""
        return self.error.code


_THROTTLED = "Rate limit is exceeded. Try again in {seconds} seconds."
_WAIT = "Wait as long as Retry-After says, then send the same request again."
_FIX = "Correct the request; the same one will be refused again."

CATALOGUE: tuple[CatalogueRow, ...] = (
    # The messages of the 400s for the body, SessionNotFound, BadArgument and the 429s are Face's own (v1.1-preview.1).
    CatalogueRow(
        InvalidRequestBody,
        HTTPStatus.BAD_REQUEST,
        "Incorrect request body provided. Please check the operation schema and try again.",
        _FIX,
    ),
    CatalogueRow(
        InvalidTokenLifetime,
        HTTPStatus.BAD_REQUEST,
        "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to {error.maximum}.",
        _FIX,
    ),
    CatalogueRow(
        InvalidLivenessOperationMode,
        HTTPStatus.BAD_REQUEST,
        "Invalid livenessOperationMode specified. Must be {error.choices}.",
        _FIX,
    ),
    CatalogueRow(
        InvalidDeviceCorrelationId,
        HTTPStatus.BAD_REQUEST,
        "A device correlation id is required in the request body during session create or session start. "
        "Must not be null or empty, and be no more than 64 characters.",
        "Send deviceCorrelationId, or deviceCorrelationIdSetInClient with the header X-Device-Correlation-Id.",
    ),
    CatalogueRow(
        InvalidIdempotencyKey,
        HTTPStatus.BAD_REQUEST,
        "Invalid Idempotency-Key specified. Must be 16 to 128 characters of A-Z, a-z, 0-9, underscore and hyphen.",
        _FIX,
    ),
    # The messages of these two are Face's own: https://learn.microsoft.com/azure/ai-services/face/reference-face-error-codes
    CatalogueRow(
        InvalidStart,
        HTTPStatus.BAD_REQUEST,
        "Start parameter is invalid. "
        "Please specify the 'Id' field of the last entry to continue the listing process.",
        _FIX,
    ),
    CatalogueRow(
        InvalidTop,
        HTTPStatus.BAD_REQUEST,
        "Top parameter is invalid. Valid range is between 1 and 1000 inclusive.",
        _FIX,
    ),
    CatalogueRow(
        SessionNotFound,
        HTTPStatus.NOT_FOUND,
        "Session Id is not found. The session id is expired or does not exist.",
        "Create a new session. Unknown, foreign, revoked and purged sessions are answered alike.",
    ),
    CatalogueRow(RouteNotFound, HTTPStatus.NOT_FOUND, "There is nothing at this path.", "Correct the path."),
    CatalogueRow(
        MethodNotAllowed,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This path does not take this method.",
        "Use a method that the header Allow names.",
    ),
    CatalogueRow(
        LengthRequired,
        HTTPStatus.LENGTH_REQUIRED,
        "The request body must be sent with a Content-Length.",
        "Send the body whole, not in chunks.",
    ),
    CatalogueRow(
        RequestTooLarge,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request body is larger than 4096 bytes.",
        _FIX,
    ),
    CatalogueRow(
        InvalidMediaType,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Invalid Media Type.",
        "Send Content-Type: application/json and no Content-Encoding.",
    ),
    CatalogueRow(
        IdempotencyInProgress,
        HTTPStatus.CONFLICT,
        "The first request with this Idempotency-Key has not ended yet.",
        _WAIT,
    ),
    CatalogueRow(
        IdempotencyKeyReused,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "This Idempotency-Key was used with another request, or for a session that was revoked since.",
        "Make a new key for each new check.",
    ),
    CatalogueRow(
        DeviceThrottled,
        HTTPStatus.TOO_MANY_REQUESTS,
        _THROTTLED,
        "Tell the person how long to wait; the device has asked for too many checks.",
    ),
    CatalogueRow(
        ClientThrottled,
        HTTPStatus.TOO_MANY_REQUESTS,
        _THROTTLED,
        "Tell the person how long to wait; too many calls came from this caller or its network.",
    ),
    CatalogueRow(
        UpstreamFailure,
        HTTPStatus.BAD_GATEWAY,
        "The liveness service failed.",
        "Try again after a pause; each try with the same Idempotency-Key.",
    ),
    CatalogueRow(
        UpstreamUnauthorized,
        HTTPStatus.BAD_GATEWAY,
        "The liveness service refused this service's credential.",
        "Try again later; the operator has to act.",
    ),
    CatalogueRow(UpstreamThrottled, HTTPStatus.SERVICE_UNAVAILABLE, "The liveness service is busy.", _WAIT),
    CatalogueRow(
        UpstreamQuotaExceeded,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The call volume of the liveness service is used up.",
        _WAIT,
    ),
    CatalogueRow(
        StorageUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The service's store is not available.", _WAIT
    ),
    CatalogueRow(
        KeyUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "The service's credential is not available.", _WAIT
    ),
    CatalogueRow(
        UpstreamTimeout,
        HTTPStatus.GATEWAY_TIMEOUT,
        "The liveness service did not answer in time.",
        "Try again after a pause; each try with the same Idempotency-Key.",
    ),
    CatalogueRow(
        InternalError,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The service failed. Quote the request id to its operator.",
        "Try again later, and quote the request id to the operator.",
    ),
)

ROW_OF: dict[type[BrokerError], CatalogueRow] = {row.error: row for row in CATALOGUE}
