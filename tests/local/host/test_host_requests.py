"""What a function gets to see of a request."""

import asyncio
from urllib.parse import urlsplit

import azure.functions as func
import pytest

from tests.local.host.host_client import Serve, anonymous_app, ask, echo, exchange


def _echo_app() -> func.FunctionApp:
    app = anonymous_app()
    app.route("echo/{*path}")(echo)
    return app


async def test_request_is_handed_over_whole(serve: Serve) -> None:
    """Method, absolute URL, route parameters, query and body reach the function."""
    host = await serve(_echo_app())

    seen = (await ask(host.url, "POST", "/api/echo/a%20b?x=1&y=%C3%A9", body=b"hello")).json()

    assert seen["method"] == "POST"
    assert seen["url"] == "http://broker.test/api/echo/a%20b?x=1&y=%C3%A9"
    assert seen["route_params"] == {"path": "a b"}
    assert seen["params"] == {"x": "1", "y": "é"}
    assert seen["body"] == "hello"


async def test_chunked_body_arrives_empty(serve: Serve) -> None:
    """A body without a Content-Length is not read, and no error says so."""
    host = await serve(_echo_app())
    request = (
        b"POST /api/echo/x HTTP/1.1\r\nHost: broker.test\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )

    answer = await exchange(host.url, request)

    assert (answer.status, answer.json()["body"]) == (200, "")


async def test_connection_is_usable_after_an_unread_chunked_body(serve: Serve) -> None:
    """The next request on the same connection is read from where the unread body ended."""
    host = await serve(_echo_app())
    first = (
        b"POST /api/echo/first HTTP/1.1\r\nHost: broker.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    )
    second = b"GET /api/nowhere HTTP/1.1\r\nHost: broker.test\r\nConnection: close\r\n\r\n"
    address = urlsplit(host.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    writer.write(first + second)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"]


async def test_compressed_body_is_handed_over_as_it_came(serve: Serve) -> None:
    """The host does not decompress: the function sees the bytes that were sent."""
    host = await serve(_echo_app())

    answer = await ask(host.url, "POST", "/api/echo/x", [("Content-Encoding", "gzip")], b"not gzip")

    assert answer.json()["body"] == "not gzip"


async def test_expected_continue_is_sent_before_the_body_is_read(serve: Serve) -> None:
    """A client that waits for `100 Continue` gets it, and then its answer."""
    host = await serve(_echo_app())
    head = (
        b"POST /api/echo/x HTTP/1.1\r\nHost: broker.test\r\nConnection: close\r\n"
        b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    )
    address = urlsplit(host.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    writer.write(head)
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"hello")
    final = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert final.startswith(b"HTTP/1.1 200 ")
    assert b'"body": "hello"' in final


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
    # Not asked to close: the host does that by itself.
    over_limit = await exchange(
        host.url, b"POST /api/count HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n" + b"x" * 65
    )

    assert (at_limit.status, over_limit.status) == (200, 500)
    assert (over_limit.body, over_limit.one("Content-Length"), over_limit.one("Connection")) == (
        b"",
        "0",
        "close",
    )
    assert calls == [64]


async def test_header_names_come_in_lower_case_and_repeats_joined(serve: Serve) -> None:
    """Header names are lower-cased, and repeated ones joined with a comma and no space."""
    host = await serve(_echo_app())

    answer = await ask(host.url, "GET", "/api/echo/x", [("X-Many", "a"), ("X-One", "c, d"), ("x-many", "b")])

    headers = answer.json()["headers"]
    assert (headers["x-many"], headers["x-one"]) == ("a,b", "c, d")
    assert all(name == name.lower() for name in headers)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("X-Big", "x" * 40_000)], id="one-of-40-kb"),
        pytest.param([(f"X-{number}", "x" * 4_000) for number in range(10)], id="ten-of-4-kb"),
        pytest.param([(f"X-{number}", "x") for number in range(120)], id="120-headers"),
    ],
)
async def test_too_much_of_headers_is_431(serve: Serve, headers: list[tuple[str, str]]) -> None:
    """40 KB of headers are refused, in one header or in many."""
    host = await serve(_echo_app())

    answer = await ask(host.url, "GET", "/api/echo/x", headers)

    assert (answer.status, answer.body) == (431, b"")


async def test_header_value_that_is_not_ascii_is_400(serve: Serve) -> None:
    """A header value with a byte above 127 is refused."""
    host = await serve(_echo_app())

    answer = await ask(host.url, "GET", "/api/echo/x", [("X-Name", "é")])

    assert (answer.status, answer.body) == (400, b"")


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
async def test_query_is_read_as_the_host_does(serve: Serve, query: str, params: dict[str, str]) -> None:
    """Repeats are joined with a comma, and a parameter with an empty value is dropped."""
    host = await serve(_echo_app())

    assert params == (await ask(host.url, "GET", f"/api/echo/x?{query}")).json()["params"]


@pytest.mark.parametrize(
    "request_line", [b"GET", b"GET /api/echo/\xff HTTP/1.1"], ids=["broken-line", "raw-byte-in-path"]
)
async def test_request_that_is_not_http_is_400(serve: Serve, request_line: bytes) -> None:
    """What cannot be read as a request is refused with an empty 400."""
    host = await serve(_echo_app())

    answer = await exchange(host.url, request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert (answer.status, answer.body, answer.one("Server")) == (400, b"", "Kestrel")
