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


_APP_FAULT = "This app has a problem. Please update it, or contact support."
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
    tell: str = _APP_FAULT
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
        "Do not send it again by itself: Retry-After is an hour, and the quota may be used up for days. "
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

_AGAIN = ", and try again."
_CANCELED = "The check was canceled."
_PASSED = "The check was successful."
_FAILED = "The check was not successful."

# Face publishes no list of `failure.code`. These are the reasons of its Vision SDKs, and `FaceWithMaskDetected` is
# known from both (https://azure.github.io/azure-sdk-for-ios/AzureAIVisionFaceUI/Enums/LivenessError.html, the
# `LivenessError` of azure-sdk-for-android, and that of the npm package `azure-ai-vision-face-ui`).
FAILURES: dict[str, str] = {
    "FaceWithMaskDetected": f"Please take your mask off{_AGAIN}",
    "FaceMouthRegionNotVisible": f"Please make sure that nothing covers your mouth{_AGAIN}",
    "FaceEyeRegionNotVisible": f"Please take your glasses off, move hair away from your eyes{_AGAIN}",
    "FaceNotFrontal": f"Please look straight at the camera{_AGAIN}",
    "NoFaceDetected": f"Please hold the camera in front of your face{_AGAIN}",
    "FaceTrackingFailed": f"Please keep your face in view of the camera{_AGAIN}",
    "ExcessiveImageBlurDetected": f"Please clean the lens, hold the camera still{_AGAIN}",
    "ExcessiveFaceBrightness": f"Please turn away from strong light{_AGAIN}",
    "EnvironmentNotSupported": f"Please go where the light is even and not too bright{_AGAIN}",
    "SmileNotPerformed": f"Please smile when you are asked to{_AGAIN}",
    "HeadTurnNotPerformed": f"Please turn your head as shown{_AGAIN}",
    "RandomPoseNotPerformed": f"Please turn your head as shown{_AGAIN}",
    "ActionNotPerformed": f"Please follow the instructions on the screen{_AGAIN}",
    "TimedOut": "The check took too long. Please try again.",
    "ServerTimedOut": f"Please check your network{_AGAIN}",
    "ServerRequestTimedOut": f"Please check your network{_AGAIN}",
    "CameraPermissionDenied": f"Please allow this app to use the camera{_AGAIN}",
    "CameraStartupFailure": f"Please close other apps that use the camera{_AGAIN}",
    "UserCanceledSession": _CANCELED,
    "UserCanceledActiveMotion": _CANCELED,
    "UserCanceledActiveMotionPrompt": _CANCELED,
    # Earlier web SDKs spell these so.
    "UserCancelledSession": _CANCELED,
    "UserCancelledActiveMotion": _CANCELED,
    "InvalidToken": "This check has ended. Please start a new one.",
    "ClientVersionNotSupported": _APP_FAULT,
    "VerifyImageNotProvided": _APP_FAULT,
    "SetVerifyImageNotAllowed": _APP_FAULT,
    "UnexpectedClientError": "The check did not work. Please try again.",
    "UnexpectedServerError": "The check did not work. Please try again.",
    "Unexpected": "The check did not work. Please try again.",
    "GenericFailure": "The check did not work. Please try again.",
    # Face's own statuses, and the broker's words where Face gives no reason.
    "Canceled": _CANCELED,
    "NoDecision": "The check did not work. Please try again.",
    "Unspecified": "The check did not work. Please try again.",
    "Unfinished": "The check did not work. Please try again.",
    # Face did decide, so the person is told what any other decision but a pass is told.
    "UnknownDecision": _FAILED,
}
"""What the app tells the person when an attempt ended without a decision, by `failure.code`."""


@immutable
class ResultRow:
    """What one kind of answer to a poll means. The first row whose `when` fits an answer counts.

    `outcome` is the word of the clients, or None while the check goes on: then nothing is told. With `by_failure`
    the person is told the sentence of `failure.code` in `FAILURES`, and `tell` only where there is none.
    """

    when: str
    means: str
    backend: str
    outcome: str | None = "failed"
    tell: str | None = _FAILED
    by_failure: bool = False


RESULTS: tuple[ResultRow, ...] = (
    ResultRow(
        "`passed: true`",
        "a live person was there; with `digestMatches: true`, nobody changed the traffic between phone and Face",
        "accepts the event once",
        "passed",
        _PASSED,
    ),
    ResultRow(
        "`status: Expired`",
        "no attempt ended before the token did",
        "no pass; suspects nobody",
        "expired",
        "The check took too long. Please start a new one.",
    ),
    ResultRow(
        "`status: Started`, with a newer `failure`: `attempts` is higher than at the last failure, or than 0",
        "an attempt ended without a decision; Face allows another in this session",
        "waits for the event",
        "tryAgain",
        "The check did not work. Please try again.",
        by_failure=True,
    ),
    ResultRow(
        "`status: NotStarted`; or `Started` without a newer `failure`",
        "the check is not over, Face is slow, or the operator hides results (`RESULT_VISIBILITY=status`)",
        "waits for the event",
        None,
        None,
    ),
    ResultRow(
        "no `passed`",
        "the operator hides it, or the service waits for the digest (`REQUIRE_DIGEST=true`): send it if it was not",
        "decides by the event alone",
        "done",
        "The check is complete.",
    ),
    ResultRow(
        "`failure.code: UnknownDecision`",
        "Face decided something that this release does not know",
        "no pass; tells the operator to look for a newer release. It counts as a failed check",
    ),
    ResultRow(
        "`failure`, any other code",
        "the last attempt ended without a decision: a mask, bad light, a person who gave up; another try needs a new "
        "session",
        "no pass; suspects nobody. It does not count as a failed check",
        by_failure=True,
    ),
    ResultRow(
        "`livenessDecision: spoofface`",
        "Face saw a picture, a screen or a mask in place of a person",
        "no pass. After several for one person: a human looks",
    ),
    ResultRow(
        "`livenessDecision: uncertain`",
        "Face could not tell",
        "no pass, and no proof of a fraud. After several: offers another way",
    ),
    ResultRow(
        "`digestMatches: false`",
        "the phone saw another result than Face has: somebody changed the traffic, or the app sent the digest of "
        "another session",
        "no pass. One app version, many people: its fault. One person: treats it as an attack",
    ),
    ResultRow(
        "`abuseDetected: true`",
        "Face suspects one person with many accounts, or an attacking device (`v1.3-preview.1`)",
        "no pass. A human looks: the audit of the session names the other sessions",
    ),
    ResultRow(
        "`digestMatches: null`",
        "the digest is required, and did not come within two minutes after the token's end",
        "no pass. The app forgot it, or somebody held it back: as for `digestMatches: false`",
    ),
)
"""What each answer to a poll means: the first row that fits counts."""
