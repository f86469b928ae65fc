"""The frame around every trigger."""

import json
import logging

import azure.functions as func
import pytest

from shared.app import install
from shared.errors import IdempotencyInProgress, SessionNotFound, StorageUnavailable
from shared.web.endpoint import Context, respond
from shared.web.responses import Reply
from tests.support.app import app_of

CANARY = "canary-in-an-exception"


def request_of(**headers: str) -> func.HttpRequest:
    return func.HttpRequest("GET", "http://localhost/api/x", headers=headers, body=b"")


async def test_fault_is_logged_by_its_type_and_place_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception can hold what a caller sent: neither the answer nor the log repeats it."""

    async def faulty(context: Context) -> Reply:
        raise ValueError(CANARY)

    install(app_of())
    with caplog.at_level(logging.DEBUG):
        response = await respond(request_of(), "an_operation", faulty)
    logged = [
        json.loads(record.getMessage()) for record in caplog.records if record.name.startswith("shared")
    ]

    assert response.status_code == 500
    assert [line["event"] for line in logged] == ["internal_error", "request_ended"]
    assert logged[0]["fault"] == "ValueError"
    assert logged[0]["frames"].startswith("test_endpoint.py:")
    assert CANARY not in response.get_body().decode() + caplog.text


@pytest.mark.parametrize(
    ("error", "event", "level"),
    [
        (SessionNotFound(), "request_refused", logging.INFO),
        (IdempotencyInProgress(), "request_refused", logging.INFO),
        (StorageUnavailable("down"), "dependency_failed", logging.WARNING),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_only_what_an_operator_has_to_see_is_a_warning(
    error: Exception, event: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What callers do wrong, or too early, is no failure of the service."""

    async def refusing(context: Context) -> Reply:
        raise error

    install(app_of())
    with caplog.at_level(logging.DEBUG):
        await respond(request_of(), "an_operation", refusing)
    first = next(record for record in caplog.records if record.name.startswith("shared"))

    assert (json.loads(first.getMessage())["event"], first.levelno) == (event, level)
