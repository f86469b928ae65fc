"""What becomes of what a function returns."""

import logging
from email.utils import parsedate_to_datetime

import azure.functions as func
import pytest

from tests.local.host.host_client import Serve, anonymous_app, ask


def _returning(result: object) -> func.FunctionApp:
    app = anonymous_app()

    @app.route("answer")
    async def answer(req: func.HttpRequest) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    return app


async def test_plain_response_gets_the_headers_of_the_host(serve: Serve) -> None:
    """A response without headers of its own is text, chunked, dated and by Kestrel."""
    host = await serve(_returning(func.HttpResponse("hello")))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.version, answer.status, answer.body) == ("HTTP/1.1", 200, b"hello")
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"
    assert answer.one("Server") == "Kestrel"
    assert answer.one("Transfer-Encoding") == "chunked"
    assert answer.one("Content-Length") is None
    assert parsedate_to_datetime(answer.one("Date") or "").tzinfo is not None


async def test_content_length_of_the_function_replaces_chunks(serve: Serve) -> None:
    """With a Content-Length the response is not chunked."""
    host = await serve(_returning(func.HttpResponse("hello", headers={"Content-Length": "5"})))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (
        answer.body,
        answer.one("Content-Length"),
        answer.one("Transfer-Encoding"),
    ) == (b"hello", "5", None)


async def test_charset_is_not_added_to_another_type_than_text(serve: Serve) -> None:
    """`charset=` does not reach the header of JSON: Content-Type has to be set in full."""
    host = await serve(_returning(func.HttpResponse("{}", mimetype="application/json", charset="utf-8")))

    assert (await ask(host.url, "GET", "/api/answer")).one("Content-Type") == "application/json"


async def test_header_names_keep_their_case_and_location_its_value(serve: Serve) -> None:
    """Headers of the function pass as they are."""
    headers = {
        "X-mS-Request-ID": "1",
        "Location": "../x%2Fy?a=b",
        "Content-Type": "application/json; charset=utf-8",
    }
    host = await serve(_returning(func.HttpResponse("{}", status_code=302, headers=headers)))

    answer = await ask(host.url, "GET", "/api/answer")

    assert set(headers.items()) <= set(answer.headers)


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_body_keeps_the_content_type(serve: Serve, status: int) -> None:
    """204 and 304 lose their body, and keep a Content-Type."""
    host = await serve(_returning(func.HttpResponse("lost", status_code=status)))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (status, b"", "text/plain; charset=utf-8") == (
        answer.status,
        answer.body,
        answer.one("Content-Type"),
    )
    assert answer.one("Transfer-Encoding") is None


@pytest.mark.parametrize("status", [400, 404, 409, 429, 500, 503])
async def test_body_of_an_error_passes(serve: Serve, status: int) -> None:
    """The host leaves the bodies of 4xx and 5xx alone."""
    host = await serve(_returning(func.HttpResponse(b"{}", status_code=status)))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (status, b"{}") == (answer.status, answer.body)


async def test_repeated_response_header_keeps_the_last_value_only(serve: Serve) -> None:
    """Of several `Link` headers the last survives, in whatever case; of cookies all do."""
    response = func.HttpResponse("")
    response.headers.add("Link", "first")
    response.headers.add("Link", "second")
    response.headers.add("link", "third")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2; Secure")
    host = await serve(_returning(response))

    answer = await ask(host.url, "GET", "/api/answer")

    assert answer.all("Link") == ["third"]
    assert answer.all("Set-Cookie") == ["a=1; Path=/", "b=2; Secure"]


async def test_returned_text_is_the_body(serve: Serve) -> None:
    """A function may return a str."""
    host = await serve(_returning("héllo"))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (200, "héllo".encode(), "text/plain; charset=utf-8") == (
        answer.status,
        answer.body,
        answer.one("Content-Type"),
    )


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(RuntimeError("secret detail"), id="raises"),
        pytest.param(TimeoutError("secret detail"), id="raises-timeout"),
        pytest.param(None, id="none"),
        pytest.param({"secret": "detail"}, id="dict"),
        pytest.param(b"secret detail", id="bytes"),
        pytest.param(func.HttpResponse("secret detail", headers={"X-Name": "é"}), id="non-ascii-header"),
    ],
)
async def test_function_that_fails_is_an_empty_500_and_a_traceback_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture, result: object
) -> None:
    """What a function cannot return, and what it raises, is 500 without a word; the log has the traceback."""
    host = await serve(_returning(result))

    with caplog.at_level(logging.ERROR):
        answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.status, answer.body, answer.one("Content-Length")) == (500, b"", "0")
    (record,) = caplog.records
    assert "Functions.answer" in record.getMessage()
    assert record.exc_info is not None
