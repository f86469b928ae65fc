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


async def answered(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> tuple[func.HttpResponse, list[dict[str, object]]]:
    """Raise an error in a handler; returns the response, and the log events with their levels."""

    async def handle(context: Context) -> Reply:
        raise error

    install(app_of())
    request = func.HttpRequest("GET", "http://localhost/api/x", headers={}, body=b"")
    with caplog.at_level(logging.DEBUG):
        response = await respond(request, "an_operation", handle)
    ours = [record for record in caplog.records if record.name.startswith("shared")]
    return response, [json.loads(record.getMessage()) | {"level": record.levelno} for record in ours]


async def test_fault_is_logged_by_its_type_and_place_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception can hold what a caller sent: neither the answer nor the log repeats it."""
    response, (fault, ended) = await answered(ValueError(CANARY), caplog)

    assert (response.status_code, ended["status"]) == (500, 500)
    assert (fault["event"], fault["fault"], ended["event"]) == (
        "internal_error",
        "ValueError",
        "request_ended",
    )
    assert str(fault["frames"]).startswith("test_endpoint.py:")
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
    _, (first, _) = await answered(error, caplog)

    assert (first["event"], first["level"]) == (event, level)
