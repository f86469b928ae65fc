"""How replies and errors become responses."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from shared.errors import (
    BrokerError,
    DeviceThrottled,
    Forbidden,
    IdempotencyKeyReused,
    InvalidDeviceCorrelationId,
    InvalidLivenessOperationMode,
    InvalidRequestBody,
    InvalidTokenLifetime,
    MethodNotAllowed,
    RequestRefused,
    Unauthorized,
    UpstreamThrottled,
    refuse,
)
from shared.web.catalogue import CATALOGUE
from shared.web.responses import MAX_DETAILS, Reply, error_reply, render, whole_seconds


def body_of(error: BrokerError) -> dict[str, Any]:
    body = error_reply(error, "an-id").body
    assert body is not None
    return dict(body["error"])


def combined(*faults: RequestRefused) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        refuse(faults)
    return refused.value


def test_fields_at_fault_are_told() -> None:
    """The error is the first fault; its details are all of them, in the catalogue's words or their own."""
    faults = [
        InvalidRequestBody("x must be an integer.", target="x"),
        InvalidRequestBody("An unknown field."),
    ]
    error = body_of(combined(*faults, InvalidTokenLifetime(900)))

    assert (error["code"], error["target"]) == ("InvalidRequestBody", "x")
    assert error["details"] == [
        {"target": "x", "code": "InvalidRequestBody", "message": "x must be an integer."},
        {"code": "InvalidRequestBody", "message": "An unknown field."},
        {
            "target": "authTokenTimeToLiveInSeconds",
            "code": "InvalidTokenLifetime",
            "message": "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 900.",
        },
    ]
    unnamed_first = body_of(combined(*reversed(faults)))
    assert ("target" in unnamed_first, len(unnamed_first["details"])) == (False, 2)


def test_error_that_is_about_no_field_has_no_target() -> None:
    """Neither `target` nor `details`, nor a wait; and its detail stays in the log."""
    reply = error_reply(IdempotencyKeyReused("its session was revoked"), "an-id")
    error = body_of(IdempotencyKeyReused("its session was revoked"))

    assert error.keys() == {"code", "message", "requestId"}
    assert not error["message"].startswith("its session")
    assert reply.headers.keys() == {"x-ms-error-code"}


def test_details_are_bounded() -> None:
    """A body of 4 KiB cannot ask for an answer of many times that."""
    faults = [InvalidRequestBody("An unknown field.", target=f"x{number}") for number in range(100)]

    assert [detail["target"] for detail in body_of(combined(*faults))["details"]] == [
        f"x{number}" for number in range(MAX_DETAILS)
    ]


@pytest.mark.parametrize(
    ("wait", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.001, 2), (59.0, 59), (59.0001, 60)]
)
def test_wait_is_rounded_up(wait: float, seconds: int) -> None:
    """Header and body say the same, and are never earlier than the truth, whatever the error is."""
    assert whole_seconds(wait) == seconds
    for error in (UpstreamThrottled(retry_after=wait), DeviceThrottled(retry_after=wait)):
        assert body_of(error)["retryAfterSeconds"] == seconds
        assert error_reply(error, "an-id").headers["Retry-After"] == str(seconds)
    assert body_of(DeviceThrottled(retry_after=wait))["message"] == (
        f"Rate limit is exceeded. Try again in {seconds} seconds."
    )


def test_headers_of_an_error_go_with_it() -> None:
    """A refused method is told the others, a refused device its limits."""
    limits = {"RateLimit": '"device";r=0'}

    assert error_reply(MethodNotAllowed(["DELETE", "GET"]), "an-id").headers["Allow"] == "DELETE, GET"
    assert limits.items() <= error_reply(DeviceThrottled(rate_limit=limits), "an-id").headers.items()


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (Unauthorized("no bearer token"), 'Bearer realm="liveness"'),
        (
            Unauthorized("a reason for the log", problem="The access token expired."),
            'Bearer realm="liveness", error="invalid_token", error_description="The access token expired."',
        ),
        (Forbidden(), 'Bearer realm="liveness", error="insufficient_scope"'),
    ],
)
def test_caller_is_told_how_to_sign_in(error: BrokerError, challenge: str) -> None:
    """After RFC 6750, section 3; the reason for the log stays there."""
    reply = error_reply(error, "an-id")

    assert reply.headers["WWW-Authenticate"] == challenge
    assert "for the log" not in f"{reply.body}"


# From the page of v1.1-preview.1 that the contract follows.
SEED = {
    "InvalidRequestBody": "Incorrect request body provided. Please check the operation schema and try again.",
    "InvalidTokenLifetime": "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 86400.",
    "InvalidLivenessOperationMode": "Invalid livenessOperationMode specified. Must be 'Passive' or 'PassiveActive'.",
    "InvalidDeviceCorrelationId": "A device correlation id is required in the request body during session create or"
    " session start. Must not be null or empty, and be no more than 64 characters.",
    "SessionNotFound": "Session Id is not found. The session id is expired or does not exist.",
    "BadArgument": "Invalid Media Type.",
    "DeviceThrottled": "Rate limit is exceeded. Try again in 26 seconds.",
    "ClientThrottled": "Rate limit is exceeded. Try again in 26 seconds.",
}


@pytest.mark.parametrize(("code", "message"), SEED.items())
def test_upstreams_own_words_are_kept(code: str, message: str) -> None:
    """Apps that know the upstream know the messages."""
    made: dict[str, BrokerError] = {
        "InvalidTokenLifetime": InvalidTokenLifetime(86_400),
        "InvalidLivenessOperationMode": InvalidLivenessOperationMode(["Passive", "PassiveActive"]),
        "InvalidDeviceCorrelationId": InvalidDeviceCorrelationId(target="X-Device-Correlation-Id"),
    }
    kind = next(row.error for row in CATALOGUE if row.code == code)
    error = made.get(code) or kind()
    error.retry_after = 26.0

    assert body_of(error)["message"] == message


def test_every_response_has_the_fields_of_the_contract() -> None:
    """With a body or without; a length spares a chunked answer."""
    response = render(Reply(HTTPStatus.OK, {"a": "é"}), "an-id", "http://127.0.0.1/", {})
    empty = render(Reply(HTTPStatus.NO_CONTENT), "an-id", "https://broker.example.com/", {})

    assert json.loads(response.get_body()) == {"a": "é"}
    assert dict(response.headers) | {"Content-Length": "?"} == {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": "?",
        "x-ms-request-id": "an-id",
    }
    assert response.headers["Content-Length"] == str(len(response.get_body()))
    assert empty.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert (empty.status_code, empty.get_body(), "Content-Length" in empty.headers) == (204, b"", False)
