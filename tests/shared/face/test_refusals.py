import json

import pytest

from shared.errors import (
    UpstreamError,
    UpstreamFailure,
    UpstreamNotApproved,
    UpstreamQuotaExceeded,
    UpstreamSessionGone,
    UpstreamThrottled,
    UpstreamUnauthorized,
)
from shared.face.refusals import refusal
from shared.http_port import HttpAnswer
from shared.text import LONGEST_RETRY_AFTER
from tests.shared.face.doubles import NOT_FOUND
from tests.support.http import answer_of

HOUR = LONGEST_RETRY_AFTER
GATEWAY_429 = (
    "Requests to the Session DetectLiveness Operation under Face API (v1.2) have exceeded rate limit of your "
    "current Face F0 pricing tier. Please retry after 1 second. To increase your rate limit switch to a paid tier."
)
IN_26_SECONDS = "Rate limit is exceeded. Try again in 26 seconds."
OUT_OF_QUOTA = "Out of call volume quota. Quota will be replenished in 2 days."
DENIED = "Access denied due to invalid subscription key. Make sure you provide the right key."


def error(code: str | None, message: str, **more: object) -> bytes:
    fields = {} if code is None else {"code": code}
    return json.dumps({"error": {**fields, "message": message, **more}}).encode()


def wait_of(answered: HttpAnswer) -> float | None:
    failure = refusal(answered)
    assert isinstance(failure, UpstreamThrottled)
    return failure.retry_after


@pytest.mark.parametrize(
    ("status", "body", "kind", "retry_after"),
    [
        (301, b"", UpstreamFailure, None),
        (400, error("InvalidRequestBody", "Incorrect request body provided."), UpstreamFailure, None),
        (401, error("401", DENIED), UpstreamUnauthorized, None),
        (401, b"", UpstreamUnauthorized, None),
        (403, error("UnsupportedFeature", "Feature is not supported."), UpstreamNotApproved, None),
        (403, error("Forbidden", "The key may not do this."), UpstreamUnauthorized, None),
        (401, error("UnsupportedFeature", "Not a 403."), UpstreamUnauthorized, None),
        (403, error(None, OUT_OF_QUOTA, statusCode=403), UpstreamQuotaExceeded, HOUR),
        (403, error(None, "Out of call volume quota.", statusCode=403), UpstreamQuotaExceeded, HOUR),
        (404, error("404", "Resource not found"), UpstreamFailure, None),
        (404, error("NotFound", "Session Id is not found."), UpstreamFailure, None),
        (404, error("sessionnotfound", "Session Id is not found."), UpstreamFailure, None),
        (404, b"<html>SessionNotFound</html>", UpstreamFailure, None),
        (429, error(None, IN_26_SECONDS, statusCode=429), UpstreamThrottled, 26.0),
        (429, error("429", GATEWAY_429), UpstreamThrottled, 1.0),
        (429, b'{"statusCode": 429, "message": "Try again in 7 seconds."}', UpstreamThrottled, 7.0),
        (429, b"", UpstreamThrottled, 1.0),
        (500, error("Unspecified", "Internal server error"), UpstreamFailure, None),
        (502, b"<html><body>Bad Gateway</body></html>", UpstreamFailure, None),
        (503, b"", UpstreamThrottled, 1.0),
        (504, b"", UpstreamFailure, None),
        (599, b"", UpstreamFailure, None),
    ],
)
def test_status_and_body_give_the_kind_of_failure(
    status: int, body: bytes, kind: type[UpstreamError], retry_after: float | None
) -> None:
    """Each documented error answer, and each undocumented status, is one of the broker's upstream failures."""
    failure = refusal(answer_of(status, body))
    assert isinstance(failure, UpstreamError)
    assert (type(failure), failure.retry_after, failure.request_sent) == (kind, retry_after, True)


IN_THE_HEADER = {"x-ms-error-code": "SessionNotFound"}


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        (json.dumps(NOT_FOUND).encode(), {}, UpstreamSessionGone),
        (b'{"error": null, "code": "SessionNotFound"}', {}, UpstreamSessionGone),
        (b"", IN_THE_HEADER, UpstreamSessionGone),
        (error(None, "Session Id is not found.", statusCode=404), IN_THE_HEADER, UpstreamSessionGone),
        (error("404", "Resource not found"), IN_THE_HEADER, UpstreamFailure),
    ],
)
def test_code_of_the_body_or_else_of_the_header_says_that_the_session_is_gone(
    body: bytes, headers: dict[str, str], kind: type[UpstreamError]
) -> None:
    assert type(refusal(answer_of(404, body, headers))) is kind


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (error("InvalidRequestBody", "No device id canary-device."), {}, " InvalidRequestBody"),
        (b"", {"x-ms-error-code": "BadArgument"}, " BadArgument"),
        (error("a code\nwith more", "Text."), {}, ""),
        (error("a" * 129, "Text."), {}, ""),
        (error("400", "Text."), {}, ""),
        (b'{"error": {"code": 400}}', {}, ""),
        (b'{"error": "text"}', {}, ""),
        (b'{"error": null}', {}, ""),
        (b'["error"]', {}, ""),
        (b"\xff\xfe", {"x-ms-error-code": "a b"}, ""),
    ],
)
def test_detail_has_the_status_and_a_safe_code_alone(body: bytes, headers: dict[str, str], code: str) -> None:
    """The log gets the status and an identifier, never the message; Face's id of the call is for a support case."""
    failure = refusal(answer_of(400, body, headers | {"apim-request-id": "4af681e9"}))
    assert isinstance(failure, UpstreamFailure)
    assert (str(failure), failure.upstream_request_id) == (f"Face answered 400{code}", "4af681e9")


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (IN_26_SECONDS, 26.0),
        ("please RETRY AFTER 10 SECONDS", 10.0),
        ("Calls in 60 seconds are limited. Please retry after 3 seconds.", 3.0),
        ("Try again in 0 seconds.", 0.0),
        ("Try again in 2 minutes.", 120.0),
        ("Quota will be replenished in 0.5 hours.", HOUR / 2),
        ("Quota will be replenished in 0.01 days.", 864.0),
        ("Quota will be replenished in 2.12 days.", HOUR),
        *((f"Try again in {text}.", 1.0) for text in ("9" * 20 + " seconds", "-5 seconds", "a few seconds")),
        *((text, 1.0) for text in ("Try again in \N{FULLWIDTH DIGIT TWO} seconds.", "Try again later.", "")),
    ],
)
def test_wait_in_prose_is_understood(message: str, seconds: float) -> None:
    """The English of Face says how long to wait: an hour at most, and a second where it does not say."""
    assert wait_of(answer_of(429, error("429", message))) == seconds


@pytest.mark.parametrize(("header", "seconds"), [("5", 5.0), ("0", 0.0), ("soon", 26.0)])
def test_header_counts_before_prose_where_it_can_be_read(header: str, seconds: float) -> None:
    answered = answer_of(429, error(None, IN_26_SECONDS), {"retry-after": header})
    assert wait_of(answered) == seconds
