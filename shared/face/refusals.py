"""Face's error responses and the failures that they become.

Sources: the vendor's page of the create operation, v1.1-preview.1, and
https://learn.microsoft.com/azure/ai-services/face/reference-face-error-codes
"""

import re
from typing import NamedTuple

from shared.errors import (
    UpstreamError,
    UpstreamFailure,
    UpstreamNotApproved,
    UpstreamQuotaExceeded,
    UpstreamSessionGone,
    UpstreamThrottled,
    UpstreamUnauthorized,
)
from shared.face.answers import identifier, request_id_of
from shared.http_port import HttpAnswer
from shared.text import LONGEST_RETRY_AFTER, parse_json, retry_after_seconds

_DEFAULT_WAIT = 1.0

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_IN_UNITS = re.compile(
    r"\b(?:try again|retry|replenished) (?:in|after) ([0-9]{1,9}(?:\.[0-9]{1,9})?) (second|minute|hour|day)",
    re.IGNORECASE,
)


class ErrorText(NamedTuple):
    """The code (an identifier) and message of an error body; each is empty if missing."""

    code: str = ""
    message: str = ""


def refusal(response: HttpAnswer) -> UpstreamError | UpstreamSessionGone:
    """Translate a response that is not a success."""
    text = _error_of(response)
    if response.status == 404 and text.code == "SessionNotFound":
        return UpstreamSessionGone()
    kind, default_wait = _kind(response.status, text)
    code = "" if text.code == str(response.status) else text.code
    return kind(
        f"Face answered {response.status} {code}".rstrip(),
        retry_after=None if default_wait is None else _wait(response, text.message, default_wait),
        upstream_request_id=request_id_of(response),
    )


def error_text(content: object) -> ErrorText:
    """Read a parsed error body in any of its shapes; never raises.

    They are `{"error": {"code", "message"}}`, `{"error": {"statusCode", "message"}}`, and the gateway's own
    `{"statusCode", "message"}`.
    """
    error = content.get("error") or content if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return ErrorText()
    code, message = error.get("code"), error.get("message")
    return ErrorText(
        (identifier(code) or "") if isinstance(code, str) else "",
        message if isinstance(message, str) else "",
    )


def _error_of(response: HttpAnswer) -> ErrorText:
    try:
        code, message = error_text(parse_json(response.body))
    except ValueError:
        code, message = "", ""
    return ErrorText(code or identifier(response.headers.get("x-ms-error-code")) or "", message)


def _kind(status: int, text: ErrorText) -> tuple[type[UpstreamError], float | None]:
    if status in (429, 503):
        return UpstreamThrottled, _DEFAULT_WAIT
    if status == 403 and "quota" in text.message.lower():
        return UpstreamQuotaExceeded, LONGEST_RETRY_AFTER
    if status == 403 and text.code == "UnsupportedFeature":
        return UpstreamNotApproved, None
    if status in (401, 403):
        return UpstreamUnauthorized, None
    return UpstreamFailure, None


def _wait(response: HttpAnswer, message: str, default: float) -> float:
    """The seconds that Face asks to wait, in the header or else in the message: at most an hour."""
    asked = retry_after_seconds(response.headers)
    if asked is None and (match := _IN_UNITS.search(message)):
        asked = float(match[1]) * _UNITS[match[2].lower()]
    return default if asked is None else min(asked, LONGEST_RETRY_AFTER)
