"""The error catalogue: one row for each error code. Responses, documents and clients are made from it."""

from enum import StrEnum

from shared import errors
from shared.errors import BrokerError
from shared.values import immutable


class Again(StrEnum):
    """Whether a client sends the same request again."""

    NOW = "now"
    """By itself, after the wait that the answer names and one that doubles; up to `at_most` seconds in all."""
    LATER = "later"
    """Only when the person asks for it, and after the wait."""
    NEW_SESSION = "new session"
    """Never for this session; the person may start a new check."""
    NEVER = "never"


APP_FAULT = "This app has a problem. Please update it, or contact support."
_UNAVAILABLE = "The check is not available right now. Please try again in a few minutes."
_OUT_OF_ORDER = "The check is not available right now. Please try again later."


@immutable
class CatalogueRow:
    """How one error is answered.

    `message` may hold `{error.…}`, which is filled in from the error, and `{seconds}`, its wait in whole seconds.
    `what_to_do` is for the developer of the app on the phone. `tell` is what the app tells the person; it may hold
    `{wait}`, such as "3 minutes". `at_most` is how many seconds a client goes on by itself.
    """

    error: type[BrokerError]
    status: int
    message: str
    what_to_do: str = "Correct the request. The same request will fail again."
    again: Again = Again.NEVER
    tell: str = APP_FAULT
    at_most: int = 0

    @property
    def code(self) -> str:
        """The code in the body and in the header `x-ms-error-code`."""
        return self.error.code


_THROTTLED = "Rate limit is exceeded. Try again in {seconds} seconds."
_WAIT = "Wait for the seconds in Retry-After and a pause that grows, then send the same request again."
_SAME_KEY = "Wait, then send the same request again, with the same Idempotency-Key."


def _soon(error: type[BrokerError], status: int, message: str, what_to_do: str = _WAIT) -> CatalogueRow:
    """The row of an error that may be over within a minute."""
    return CatalogueRow(error, status, message, what_to_do, Again.NOW, _UNAVAILABLE, at_most=60)


def _out_of_order(
    error: type[BrokerError],
    status: int,
    message: str,
    what_to_do: str = "Try again later. The operator must fix this.",
) -> CatalogueRow:
    """The row of an error that lasts until the operator has acted."""
    return CatalogueRow(error, status, message, what_to_do, Again.LATER, _OUT_OF_ORDER)


CATALOGUE: tuple[CatalogueRow, ...] = (
    # The messages of the 400s for the body, SessionNotFound, BadArgument and the 429s are Face's own (v1.1-preview.1).
    CatalogueRow(
        errors.InvalidRequestBody,
        400,
        "Incorrect request body provided. Please check the operation schema and try again.",
    ),
    CatalogueRow(
        errors.InvalidTokenLifetime,
        400,
        "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to {error.maximum}.",
    ),
    CatalogueRow(
        errors.InvalidLivenessOperationMode,
        400,
        "Invalid livenessOperationMode specified. Must be {error.choices}.",
    ),
    CatalogueRow(
        errors.InvalidDeviceCorrelationId,
        400,
        "A device correlation id is required in the request body during session create or session start. "
        "Must not be null or empty, and be no more than 64 characters.",
        "Send deviceCorrelationId, or deviceCorrelationIdSetInClient with the header X-Device-Correlation-Id.",
    ),
    CatalogueRow(
        errors.InvalidIdempotencyKey,
        400,
        "Invalid Idempotency-Key specified. Must be 16 to 128 characters of A-Z, a-z, 0-9, underscore and hyphen.",
    ),
    # The messages of these two are Face's own: https://learn.microsoft.com/azure/ai-services/face/reference-face-error-codes
    CatalogueRow(
        errors.InvalidStart,
        400,
        "Start parameter is invalid. "
        "Please specify the 'Id' field of the last entry to continue the listing process.",
    ),
    CatalogueRow(
        errors.InvalidTop, 400, "Top parameter is invalid. Valid range is between 1 and 1000 inclusive."
    ),
    CatalogueRow(
        errors.Unauthorized,
        401,
        "An access token is required in the header Authorization, and must be valid.",
        "Get a new access token, then send the same request again. WWW-Authenticate says what is wrong.",
        again=Again.NOW,
        tell="Please sign in again.",
        at_most=5,
    ),
    CatalogueRow(
        errors.Forbidden,
        403,
        "The access token does not have the right for this request.",
        "Do not try again with this token. `target` names the field that needs another one; without it, the operation "
        "is for servers.",
    ),
    CatalogueRow(
        errors.SessionNotFound,
        404,
        "Session Id is not found. The session id is expired or does not exist.",
        "Create a new session. The error is the same for an unknown, revoked or purged session and for a wrong token.",
        again=Again.NEW_SESSION,
        tell="This check has ended. Please start a new one.",
    ),
    CatalogueRow(errors.RouteNotFound, 404, "There is nothing at this path.", "Correct the path."),
    CatalogueRow(
        errors.MethodNotAllowed,
        405,
        "This path does not take this method.",
        "Use a method from the header Allow.",
    ),
    CatalogueRow(
        errors.LengthRequired,
        411,
        "The request body must be sent with a Content-Length. "
        "A body in chunks (Transfer-Encoding: chunked) did not arrive.",
        "Send the body with a Content-Length, not in chunks.",
    ),
    CatalogueRow(errors.RequestTooLarge, 413, "The request body is larger than 4096 bytes."),
    CatalogueRow(
        errors.InvalidMediaType,
        415,
        "Invalid Media Type.",
        "Send Content-Type: application/json in UTF-8, and no Content-Encoding but identity.",
    ),
    _soon(
        errors.IdempotencyInProgress, 409, "The first request with this Idempotency-Key has not ended yet."
    ),
    CatalogueRow(
        errors.IdempotencyKeyReused,
        422,
        "This Idempotency-Key was used with another request, or for a session that was revoked since.",
        "Make a new key for each new check.",
        again=Again.NEW_SESSION,
        tell="This check has ended. Please start a new one.",
    ),
    CatalogueRow(
        errors.DeviceThrottled,
        429,
        _THROTTLED,
        "Tell the person how long to wait. This device has had too many sessions or failed checks.",
        again=Again.LATER,
        tell="There were too many checks on this device. Please try again in {wait}.",
    ),
    CatalogueRow(
        errors.ClientThrottled,
        429,
        _THROTTLED,
        "Tell the person how long to wait. The person, the network or the transaction had too many requests.",
        again=Again.LATER,
        tell="There were too many checks. Please try again in {wait}.",
    ),
    _soon(errors.UpstreamFailure, 502, "The liveness service failed.", _SAME_KEY),
    _out_of_order(
        errors.UpstreamUnauthorized, 502, "The liveness service refused this service's credential."
    ),
    _out_of_order(
        errors.UpstreamNotApproved, 502, "The liveness service has not approved this service's resource."
    ),
    _soon(errors.UpstreamThrottled, 503, "The liveness service is busy."),
    _out_of_order(
        errors.UpstreamQuotaExceeded,
        503,
        "The call volume of the liveness service is used up.",
        "Do not repeat it automatically: Retry-After is an hour, and the quota may be used up for days. "
        "The operator must raise it.",
    ),
    _soon(errors.StorageUnavailable, 503, "The service's store is not available."),
    _soon(errors.KeyUnavailable, 503, "A key that the service needs is not available."),
    _soon(errors.UpstreamTimeout, 504, "The liveness service did not answer in time.", _SAME_KEY),
    CatalogueRow(
        errors.InternalError,
        500,
        "The service failed. Quote the request id to its operator.",
        "Try again later, and quote the request id to the operator.",
        again=Again.LATER,
        tell=_UNAVAILABLE,
    ),
)

ROW_OF: dict[type[BrokerError], CatalogueRow] = {row.error: row for row in CATALOGUE}
