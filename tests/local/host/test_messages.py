"""Requests as functions see them, and responses as callers see them."""

from email.utils import parsedate_to_datetime

import azure.functions as func
import pytest

from tests.local.host.client import Answer, Headers, Serve, anonymous_app, ask, assert_empty, exchange

OWN_HEADERS = {
    "X-mS-Request-ID": "1",
    "Location": "../x%2Fy?a=b",
    "Content-Type": "application/json; charset=utf-8",
}
JSON = {"content-type": "application/json"}
TEXT = "text/plain; charset=utf-8"


async def _answered(serve: Serve, result: object) -> Answer:
    """The answer for the result of a function."""
    app = anonymous_app()

    @app.route("answer")
    async def answer(req: func.HttpRequest) -> object:
        return result

    return await ask(await serve(app), "GET", "/api/answer")


async def test_request_reaches_the_function_whole(url: str) -> None:
    """Method, absolute URL, route parameters, query and body arrive; header names in lower case, repeats joined."""
    headers: Headers = [("X-Many", "a"), ("X-One", "c, d"), ("x-many", "b")]
    seen = (await ask(url, "POST", "/api/echo/a%20b?x=1&y=%C3%A9", headers, b"hello")).json()

    assert seen["headers"].pop("x-many") == "a,b"
    assert seen == {
        "method": "POST",
        "url": "http://broker.test/api/echo/a%20b?x=1&y=%C3%A9",
        "route_params": {"path": "a b"},
        "params": {"x": "1", "y": "é"},
        "headers": {"host": "broker.test", "connection": "close", "x-one": "c, d", "content-length": "5"},
        "body": "hello",
    }


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("a=1&a=2", {"a": "1,2"}),
        ("a=&b=2&c", {"b": "2"}),
        ("a=&a=1", {"a": ",1"}),
        ("a=x%20y+z%2B", {"a": "x y z+"}),
    ],
)
async def test_query_is_read_as_the_host_does(url: str, query: str, params: dict[str, str]) -> None:
    """Repeats are joined with a comma, and a parameter with an empty value is dropped."""
    assert (await ask(url, "GET", f"/api/echo/x?{query}")).json()["params"] == params


async def test_body_over_the_limit_is_500_and_calls_no_function(serve: Serve) -> None:
    """One byte too many is an empty 500 and the end of the connection; the function sees nothing."""
    calls: list[int] = []
    app = anonymous_app()

    @app.route("count")
    async def count(req: func.HttpRequest) -> str:
        calls.append(len(req.get_body()))
        return ""

    url = await serve(app, body_limit=64)
    at_limit = await ask(url, "POST", "/api/count", body=b"x" * 64)
    # The request does not ask for it: the host closes the connection by itself.
    over_limit = await exchange(
        url, b"POST /api/count HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n" + b"x" * 65
    )

    assert_empty(500, over_limit)
    assert (at_limit.status, over_limit.one("Connection"), calls) == (200, "close", [64])


@pytest.mark.parametrize(
    ("result", "status", "body", "headers"),
    [
        ("héllo", 200, "héllo", {"content-type": TEXT}),
        (func.HttpResponse("{}", status_code=400), 400, "{}", {"content-type": TEXT}),
        (func.HttpResponse("{}", status_code=503), 503, "{}", {"content-type": TEXT}),
        (func.HttpResponse("lost", status_code=204), 204, "", {"content-type": TEXT}),
        (func.HttpResponse("lost", status_code=304), 304, "", {"content-type": TEXT}),
        (func.HttpResponse("{}", mimetype="application/json"), 200, "{}", JSON),
        (func.HttpResponse("{}", status_code=302, headers=OWN_HEADERS), 302, "{}", OWN_HEADERS),
        (func.HttpResponse("{}", headers={"Content-Length": "2"}), 200, "{}", {"Content-Length": "2"}),
    ],
)
async def test_response_passes_with_the_headers_of_the_host(
    serve: Serve, result: object, status: int, body: str, headers: dict[str, str]
) -> None:
    """Status, body and headers of the function pass as they are; the host adds date, server and framing.

    204 and 304 lose their body and keep the type. A Content-Length replaces chunks.
    """
    answer = await _answered(serve, result)

    assert (answer.version, answer.status, answer.body.decode()) == (11, status, body)
    assert set(headers.items()) <= set(answer.headers.items())
    assert answer.one("Server") == "Kestrel"
    assert parsedate_to_datetime(answer.one("Date") or "").tzinfo is not None
    is_chunked = bool(body) and "Content-Length" not in headers
    assert answer.one("Transfer-Encoding") == ("chunked" if is_chunked else None)


async def test_repeated_response_header_keeps_the_last_value_only(serve: Serve) -> None:
    """Of several `Link` headers the last survives, in whatever case; of cookies all do."""
    response = func.HttpResponse("")
    cookies = ["a=1; Path=/", "b=2; Secure"]
    links = [("Link", "first"), ("Link", "second"), ("link", "third")]
    for name, value in links + [("Set-Cookie", cookie) for cookie in cookies]:
        response.headers.add(name, value)

    answer = await _answered(serve, response)

    assert (answer.one("Link"), answer.headers.get_all("Set-Cookie")) == ("third", cookies)
