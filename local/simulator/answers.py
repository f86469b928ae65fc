"""Answers as plain values: the documented errors of Azure Face, and those of the simulator's own routes.

Sources: the page of the create operation, version v1.1-preview.1 (every error with the code `Unspecified` or a
`statusCode`); https://learn.microsoft.com/azure/ai-services/face/reference-face-error-codes (code `401`,
`BadArgument` of the paging parameters, `UnsupportedFeature`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that can be given many times."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """Make the response for one request."""
        return web.Response(status=self.status, body=self.body or None, headers=self.headers)


class Refused(Exception):
    """The request gets this answer instead of the one it asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ConnectionLost(Exception):
    """The connection is reset, and the caller gets no answer."""


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a value as JSON."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, json.dumps(value).encode(), content_type | dict(headers or {}))


def error_answer(status: int, code: str, message: str) -> Answer:
    """Answer with Azure's error body, and the code in `x-ms-error-code` too."""
    return json_answer(status, {"error": {"code": code, "message": message}}, {"x-ms-error-code": code})


def uncoded(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with the error body that has a `statusCode` and no code."""
    return json_answer(status, {"error": {"statusCode": status, "message": message}}, headers)


def rate_limited(seconds: int, *, header: bool = False) -> Answer:
    """Answer with a 429 that gives the wait in its message, and with `header` in `Retry-After` too."""
    message = f"Rate limit is exceeded. Try again in {seconds} seconds."
    return uncoded(429, message, {"Retry-After": str(seconds)} if header else None)


def of_status(status: int) -> Answer:
    """Answer as Face does with this status, or in its general shape if that is not documented."""
    documented = next((answer for answer in _DOCUMENTED if answer.status == status), None)
    return documented or error_answer(status, str(status), f"The status is {status}.")


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raises `Refused` for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(INVALID_REQUEST_BODY)
    return value


INVALID_REQUEST_BODY = error_answer(
    400,
    "InvalidRequestBody",
    "Incorrect request body provided. Please check the operation schema and try again.",
)
INVALID_TOKEN_LIFETIME = error_answer(
    400, "InvalidTokenLifetime", "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 86400."
)
INVALID_MODE = error_answer(
    400, "InvalidLivenessOperationMode", "Invalid livenessOperationMode specified. Must be 'Passive'."
)
INVALID_DEVICE_ID = error_answer(
    400,
    "InvalidDeviceCorrelationId",
    "A device correlation id is required in the request body during session create or session start. "
    "Must not be null or empty, and be no more than 64 characters.",
)
INVALID_START = error_answer(
    400,
    "BadArgument",
    "Start parameter is invalid. "
    "Please specify the 'Id' field of the last entry to continue the listing process.",
)
INVALID_TOP = error_answer(
    400, "BadArgument", "Top parameter is invalid. Valid range is between 1 and 1000 inclusive."
)
UNAUTHORIZED_UNSPECIFIED = error_answer(
    401,
    "Unspecified",
    "Access denied due to invalid subscription key. "
    "Make sure you are subscribed to an API you are trying to call and provide the right key.",
)
UNAUTHORIZED_401 = error_answer(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
    "for an active subscription and use a correct regional API endpoint for your resource.",
)
OUT_OF_QUOTA = uncoded(403, "Out of call volume quota. Quota will be replenished in 2 days.")
UNSUPPORTED_FEATURE = error_answer(
    403,
    "UnsupportedFeature",
    "Feature is not supported, missing approval for one or more of the following features: "
    "Identification, Verification.",
)
SESSION_NOT_FOUND = error_answer(
    404, "SessionNotFound", "Session Id is not found. The session id is expired or does not exist."
)
RESOURCE_NOT_FOUND = error_answer(404, "404", "Resource not found")
INVALID_MEDIA_TYPE = error_answer(415, "BadArgument", "Invalid Media Type.")
GATEWAY_RATE_LIMITED = error_answer(
    429,
    "429",
    "Requests to the Session DetectLiveness Operation under Face API have exceeded rate limit of your "
    "current Face F0 pricing tier. Please retry after 1 second.",
)
INTERNAL_SERVER_ERROR = error_answer(500, "Unspecified", "Internal server error")
BAD_GATEWAY = Answer(
    502, b"<html><body><h1>502 Bad Gateway</h1></body></html>\n", {"Content-Type": "text/html"}
)
# A 503 is documented without a body.
SERVICE_UNAVAILABLE = Answer(503)

# A JPEG of one grey pixel: quantization, frame, the two Huffman tables with one code each, and the scan.
SESSION_IMAGE = Answer(
    200,
    bytes.fromhex("ffd8 ffe0 0010 4a46494600 0101 00 0001 0001 00 00 ffdb 0043 00")
    + b"\x01" * 64
    + bytes.fromhex("ffc0 000b 08 0001 0001 01 01 11 00")
    + b"".join(bytes.fromhex(f"ffc4 0014 {table} 01" + "00" * 16) for table in ("00", "10"))
    + bytes.fromhex("ffda 0008 01 01 00 00 3f 00 3f ffd9"),
    {"Content-Type": "application/octet-stream"},
)

TOKEN_REFUSED = error_answer(401, "Unauthorized", "The auth token is unknown, expired or revoked.")
NO_ATTEMPTS_LEFT = error_answer(403, "NoAttemptsLeft", "The session has no attempts left.")
UNKNOWN_OUTCOME = error_answer(400, "UnknownOutcome", "GET /simulator/scenarios lists the outcomes.")

_DOCUMENTED = (
    *(UNAUTHORIZED_UNSPECIFIED, OUT_OF_QUOTA, RESOURCE_NOT_FOUND, INVALID_MEDIA_TYPE, rate_limited(26)),
    *(INTERNAL_SERVER_ERROR, BAD_GATEWAY, SERVICE_UNAVAILABLE),
)
