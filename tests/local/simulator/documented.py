"""The published answers of Face, word for word.

Source of the examples with `Unspecified`, `statusCode` or a code in words: the page of the create operation,
version v1.1-preview.1.
"""

from typing import Any

REQUEST: dict[str, Any] = {
    "livenessOperationMode": "Passive",
    "deviceCorrelationId": "723d6d03-ef33-40a8-9682-23a1feb7bccd",
}
RESPONSE = {"sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e", "authToken": "eyJhbGciOiJFUzI1NiIsIm"}


Refusal = tuple[int, str | None, object]


def _coded(status: int, code: str, message: str) -> Refusal:
    return status, code, {"error": {"code": code, "message": message}}


def _uncoded(status: int, message: str) -> Refusal:
    return status, None, {"error": {"statusCode": status, "message": message}}


_BODY = "Incorrect request body provided. Please check the operation schema and try again."
_LIFETIME = "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 86400."
_MODE = "Invalid livenessOperationMode specified. Must be 'Passive'."
_DEVICE = (
    "A device correlation id is required in the request body during session create or session start. "
    "Must not be null or empty, and be no more than 64 characters."
)
_START = (
    "Start parameter is invalid. "
    "Please specify the 'Id' field of the last entry to continue the listing process."
)
_TOP = "Top parameter is invalid. Valid range is between 1 and 1000 inclusive."
_KEY = (
    "Access denied due to invalid subscription key. Make sure you are subscribed to an API you are trying "
    "to call and provide the right key."
)
_FEATURE = (
    "Feature is not supported, missing approval for one or more of the following features: "
    "Identification, Verification."
)
_GATEWAY = (
    "Requests to the Session DetectLiveness Operation under Face API have exceeded rate limit of your "
    "current Face F0 pricing tier. Please retry after 1 second."
)
_GONE = "Session Id is not found. The session id is expired or does not exist."

ERRORS: dict[str, Refusal] = {
    "400": _coded(400, "InvalidRequestBody", _BODY),
    "lifetime": _coded(400, "InvalidTokenLifetime", _LIFETIME),
    "mode": _coded(400, "InvalidLivenessOperationMode", _MODE),
    "device": _coded(400, "InvalidDeviceCorrelationId", _DEVICE),
    "start": _coded(400, "BadArgument", _START),
    "top": _coded(400, "BadArgument", _TOP),
    "401": _coded(401, "Unspecified", _KEY),
    "403": _coded(403, "UnsupportedFeature", _FEATURE),
    "quota": _uncoded(403, "Out of call volume quota. Quota will be replenished in 2 days."),
    "gone": _coded(404, "SessionNotFound", _GONE),
    "no-route": _coded(404, "404", "Resource not found"),
    "415": _coded(415, "BadArgument", "Invalid Media Type."),
    "429": _uncoded(429, "Rate limit is exceeded. Try again in 26 seconds."),
    "429-header": _uncoded(429, "Rate limit is exceeded. Try again in 7 seconds."),
    "429-gateway": _coded(429, "429", _GATEWAY),
    "500": _coded(500, "Unspecified", "Internal server error"),
}
"""Status, `x-ms-error-code` and body of each documented refusal."""
