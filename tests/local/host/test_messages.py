"""Requests as functions see them, and responses as callers see them."""

from email.utils import parsedate_to_datetime

import azure.functions as func
import pytest

from tests.local.host.client import Serve, anonymous_app, ask, assert_empty, echo, exchange

JSON = {"content-type": "application/json"}
OWN_HEADERS = {
    "X-mS-Request-ID": "1",
    "Location": "../x%2Fy?a=b",
    "Content-Type": "application/json; charset=utf-8",
}


@pytest.fixture
async def url(serve: Serve) -> str:
    """The address of a host whose function answers what it sees."""
    app = anonymous_app()
    app.route("echo/{*path}")(echo)
    return (await serve(app)).url


def _returning(result: object) -> func.FunctionApp:
    app = anonymous_app()

    @app.route("answer")
    async def answer(req: func.HttpRequest) -> object:
        return result

    return app


async def test_request_reaches_the_function_whole(url: str) -> None:
    """Method, absolute URL, route parameters, query and body reach the function."""
    seen = (await ask(url, "POST", "/api/echo/a%20b?x=1&y=%C3%A9", body=b"hello")).json()

    assert seen["method"] == "POST"
    assert seen["url"] == "http://broker.test/api/echo/a%20b?x=1&y=%C3%A9"
    assert seen["route_params"] == {"path": "a b"}
    assert seen["params"] == {"x": "1", "y": "é"}
    assert seen["body"] == "hello"


async def test_header_names_come_in_lower_case_and_repeats_joined(url: str) -> None:
    """Header names are lower-cased, and repeated ones joined with a comma and no space."""
    answer = await ask(url, "GET", "/api/echo/x", [("X-Many", "a"), ("X-One", "c, d"), ("x-many", "b")])

    headers = answer.json()["headers"]
    assert (headers["x-many"], headers["x-one"]) == ("a,b", "c, d")
    assert all(name == name.lower() for name in headers)


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("a=1&a=2", {"a": "1,2"}),
        ("a=&b=2&c", {"b": "2"}),
        ("a=&a=1", {"a": ",1"}),
        ("a=x%20y+z%2B", {"a": "x y z+"}),
        ("", {}),
    ],
    ids=["repeat", "empty-value", "empty-among-repeats", "encoded", "none"],
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

    host = await serve(app, body_limit=64)
    at_limit = await ask(host.url, "POST", "/api/count", body=b"x" * 64)
    # The request does not ask for it: the host closes the connection by itself.
    over_limit = await exchange(
        host.url, b"POST /api/count HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n" + b"x" * 65
    )

    assert at_limit.status == 200
    assert_empty(500, over_limit)
    assert over_limit.one("Connection") == "close"
    assert calls == [64]


async def test_plain_response_gets_the_headers_of_the_host(serve: Serve) -> None:
    """A response without headers of its own is text, chunked, and has a date and a server."""
    host = await serve(_returning(func.HttpResponse("hello")))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.version, answer.status, answer.body) == (11, 200, b"hello")
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"
    assert answer.one("Server") == "Kestrel"
    assert answer.one("Transfer-Encoding") == "chunked"
    assert answer.one("Content-Length") is None
    assert parsedate_to_datetime(answer.one("Date") or "").tzinfo is not None


@pytest.mark.parametrize(
    ("response", "headers"),
    [
        (func.HttpResponse("{}", mimetype="application/json", charset="utf-8"), JSON),
        (func.HttpResponse("{}", status_code=302, headers=OWN_HEADERS), OWN_HEADERS),
        (func.HttpResponse("{}", headers={"Content-Length": "2"}), {"Content-Length": "2"}),
    ],
    ids=["charset-is-not-added", "case-and-location", "length"],
)
async def test_headers_of_the_function_pass_as_they_are(
    serve: Serve, response: func.HttpResponse, headers: dict[str, str]
) -> None:
    """Names keep their case, `charset=` is not added to JSON, and a Content-Length replaces chunks."""
    host = await serve(_returning(response))

    answer = await ask(host.url, "GET", "/api/answer")

    assert set(headers.items()) <= set(answer.headers)
    assert (answer.one("Transfer-Encoding") is None) == ("Content-Length" in headers)


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_body_keeps_the_content_type(serve: Serve, status: int) -> None:
    """204 and 304 lose their body, and keep a Content-Type."""
    host = await serve(_returning(func.HttpResponse("lost", status_code=status)))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.status, answer.body) == (status, b"")
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"
    assert answer.one("Transfer-Encoding") is None


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        *((func.HttpResponse(b"{}", status_code=each), each, b"{}") for each in (400, 404, 429, 500, 503)),
        ("héllo", 200, "héllo".encode()),
    ],
)
async def test_body_passes(serve: Serve, result: object, status: int, body: bytes) -> None:
    """The bodies of 4xx and 5xx pass, and a function may return a str."""
    host = await serve(_returning(result))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.status, answer.body) == (status, body)
    assert answer.one("Content-Type") == "text/plain; charset=utf-8"


async def test_repeated_response_header_keeps_the_last_value_only(serve: Serve) -> None:
    """Of several `Link` headers the last survives, in whatever case; of cookies all do."""
    response = func.HttpResponse("")
    cookies = ["a=1; Path=/", "b=2; Secure"]
    links = [("Link", "first"), ("Link", "second"), ("link", "third")]
    for name, value in links + [("Set-Cookie", cookie) for cookie in cookies]:
        response.headers.add(name, value)
    host = await serve(_returning(response))

    answer = await ask(host.url, "GET", "/api/answer")

    assert (answer.all("Link"), answer.all("Set-Cookie")) == (["third"], cookies)
