"""The frame around every trigger."""

import asyncio
import json
import logging
from dataclasses import replace
from http import HTTPStatus

import azure.functions as func
import pytest

from shared.access import Caller
from shared.app import App, install
from shared.errors import (
    IdempotencyInProgress,
    InvalidMediaType,
    InvalidRequestBody,
    LengthRequired,
    RequestTooLarge,
    SessionNotFound,
    StorageUnavailable,
)
from shared.face.model import NO_SESSION
from shared.web.endpoint import TOTAL_SECONDS, Context, json_body, respond
from shared.web.responses import Reply
from tests.shared.face.doubles import HANG, ScriptedFace
from tests.support.app import app_of
from tests.support.time import FakeClock, in_virtual_time

CANARY = "canary-in-an-exception"


async def answered(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> tuple[func.HttpResponse, list[dict[str, object]]]:
    """Raise an error in a handler; returns the response, and the log events with their levels."""

    async def handle(context: Context) -> Reply:
        raise error

    install(app_of())
    with caplog.at_level(logging.DEBUG):
        response = await respond(request_of(), "an_operation", handle)
    ours = [record for record in caplog.records if record.name.startswith("shared")]
    return response, [json.loads(record.getMessage()) | {"level": record.levelno} for record in ours]


@pytest.mark.parametrize("kind", [ValueError, TimeoutError])
async def test_fault_is_logged_by_its_type_and_place_alone(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """The text of an exception can hold what a caller sent: neither the answer nor the log repeats it.

    A handler's own timeout is a fault too: it says nothing about the deadline of the request.
    """
    response, (fault, ended) = await answered(kind(CANARY), caplog)

    assert (fault["event"], fault["fault"]) == ("internal_error", kind.__name__)
    assert (ended["event"], ended["status"], response.status_code) == ("request_ended", 500, 500)
    assert str(fault["frames"]).startswith("test_endpoint.py:")
    assert CANARY not in response.get_body().decode() + caplog.text


async def test_flood_of_faults_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A caller who finds a fault in the code cannot hide other lines behind it; another place has its own lines."""

    async def handle(context: Context) -> Reply:
        if context.header("X-Place"):
            raise ValueError
        raise ValueError

    clock = FakeClock()
    install(app_of(clock=clock))
    with caplog.at_level(logging.ERROR):
        for number in range(1_001):
            request = request_of(X_Place="another" if number == 1_000 else None)
            await respond(request, "an_operation", handle)
        clock.advance_seconds(60)
        await respond(request, "an_operation", handle)

    lines = [json.loads(line) for line in caplog.messages]
    assert [line.get("times") for line in lines] == [None] * 6 + [995, None]
    assert len({line["frames"] for line in lines}) == 2


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


def app_that_signs_in(caller: Caller, seconds: float = 0.0) -> App:
    class SignIn:
        async def caller(self, *_: object) -> Caller:
            await asyncio.sleep(seconds)
            return caller

    return replace(app_of(), sign_in=SignIn())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slow", "sign_in_takes", "code"),
    [
        ("keys", 60.0, "KeyUnavailable"),
        ("store", 7.0, "StorageUnavailable"),
        ("Face", 7.0, "UpstreamTimeout"),
    ],
)
@in_virtual_time
async def test_every_answer_comes_in_ten_seconds_and_names_what_was_slow(
    slow: str, sign_in_takes: float, code: str
) -> None:
    """The seven seconds before Face's patience count too."""
    face = ScriptedFace(HANG).client()

    async def handle(context: Context) -> Reply:
        if slow == "Face":
            await face.result(NO_SESSION, context.request_id)
        await asyncio.sleep(60.0)
        raise AssertionError

    install(app_that_signs_in(Caller(), sign_in_takes))
    response = await respond(request_of(), "an_operation", handle)
    assert json.loads(response.get_body())["error"]["code"] == code
    assert asyncio.get_running_loop().time() == TOTAL_SECONDS


async def empty(_: Context) -> Reply:
    return Reply(HTTPStatus.NO_CONTENT)


async def test_caller_is_in_the_access_log_under_its_pseudonym(caplog: pytest.LogCaptureFixture) -> None:
    """Its requests are found without its name."""
    anna = Caller(principal="anna")
    install(app := app_that_signs_in(anna))
    with caplog.at_level(logging.INFO):
        await respond(request_of(), "an_operation", empty)
    assert json.loads(caplog.messages[-1])["caller"] == await anna.pseudonym(app.pseudonyms)


async def test_line_that_was_late_is_written_by_the_next_request(caplog: pytest.LogCaptureFixture) -> None:
    """The host would have dropped it."""
    install(app := app_of())
    app.background_log.keep(logging.getLogger("shared"), logging.WARNING, {"event": "late"})
    await respond(request_of(), "an_operation", empty)
    assert json.loads(caplog.messages[0])["event"] == "late"


BODY = b'{"a":1}'


def request_of(body: bytes = BODY, /, **headers: str | None) -> func.HttpRequest:
    fields: dict[str, str | None] = {"content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    present = {name: value for name, value in fields.items() if value is not None}
    return func.HttpRequest("POST", "http://localhost/api/sessions", headers=present, body=body)


@pytest.mark.parametrize(
    "length", [None, "", "abc", "-1", "+2", "2.0", "1e2", "2, 2", "0x2", "\u0662", "2" * 10], ids=ascii
)
def test_length_is_required_only_where_nothing_arrived(length: str | None) -> None:
    """A length that is not a number counts as missing. What arrived in chunks is taken, up to its limit."""
    assert json_body(request_of(content_length=length)) == {"a": 1}
    with pytest.raises(RequestTooLarge):
        json_body(request_of(BODY.ljust(4097), content_length=length))
    with pytest.raises(LengthRequired):
        json_body(request_of(b"", content_length=length))


def test_body_of_4096_bytes_is_the_largest() -> None:
    """The announced length counts, and so does the length of what arrived."""
    assert json_body(request_of(BODY.ljust(4096))) == {"a": 1}
    for request in (request_of(content_length="4097"), request_of(BODY.ljust(4097), content_length="7")):
        with pytest.raises(RequestTooLarge):
            json_body(request)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json;charset=UTF-8",
        ' APPLICATION/JSON ; charset="utf-8" ',
        "application/json;",
        "application/json; charset=utf8",
        "application/json;charset=UTF-8;",
        "application/json; charset=",
        "application/json; odata=verbose",
        "application/json;v=1;CHARSET=Utf-8;q=0.5",
    ],
)
def test_json_may_name_its_charset(media_type: str) -> None:
    """It is UTF-8 anyway, in whatever spelling; other parameters change nothing."""
    assert json_body(request_of(content_type=media_type)) == {"a": 1}


@pytest.mark.parametrize(
    "fields",
    [
        *({"content_type": text} for text in (None, "", "text/plain", "application/jsonp")),
        {"content_type": "application/json; charset=utf-16"},
        {"content_type": "application/json; charset=utf-8; charset=latin1"},
        # It would have to be unpacked before its size is known.
        {"content_encoding": "gzip"},
    ],
    ids=str,
)
def test_only_json_in_utf8_is_read(fields: dict[str, str | None]) -> None:
    with pytest.raises(InvalidMediaType):
        json_body(request_of(**fields))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "The body is not JSON: line 1, column 1."),
        (b'{\n"secret":"canary"', "The body is not JSON: line 2, column 18."),
        (b"[]", "The body is not a JSON object."),
        (b"null", "The body is not a JSON object."),
        (b'"canary"', "The body is not a JSON object."),
        (b'{"canary":NaN}', "The body is not strict JSON: NaN, or a number that is too large."),
        (b'{"canary":1,"canary":2}', "The body is not strict JSON: duplicate names."),
        (b'{"canary":"\xff"}', "The body is not UTF-8."),
        (b'{"canary":"\\ud800"}', "The body is not strict JSON: half of a surrogate pair."),
    ],
    ids=lambda value: str(value[:20]),
)
def test_body_that_is_not_a_json_object_is_refused(body: bytes, problem: str) -> None:
    """The caller is told what is wrong, and the detail goes to the log too: it repeats nothing of the body."""
    with pytest.raises(InvalidRequestBody) as refused:
        json_body(request_of(body))
    assert (refused.value.target, refused.value.detail) == ("body", problem)


def test_byte_order_mark_before_the_body_is_skipped() -> None:
    """Some serializers write one; RFC 8259, section 8.1, lets a reader ignore it."""
    assert json_body(request_of(b"\xef\xbb\xbf" + BODY)) == {"a": 1}
