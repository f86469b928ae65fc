"""Connections: what aiohttp would do otherwise than Kestrel."""

import pytest

from tests.local.host.client import ask, assert_empty, exchange, exchange_raw

HEAD = b"POST /api/echo HTTP/1.1\r\nHost: broker.test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize("method", ["PUT", "PROPFIND", "BREW", "M-SEARCH"])
async def test_function_without_methods_takes_any_method(url: str, method: str) -> None:
    """A function that names no methods is called for any, even a made-up one."""
    assert (await ask(url, method, "/api/echo")).json()["method"] == method


async def test_chunked_body_arrives_empty_and_the_connection_stays_usable(url: str) -> None:
    """A body without a Content-Length is not read; the next request is read from where that body ended."""
    second = b"GET /api/nowhere HTTP/1.1\r\nHost: broker.test\r\nConnection: close\r\n\r\n"
    received = await exchange_raw(url, HEAD + CHUNKED + HEAD + b"Content-Length: 2\r\n\r\nhi" + second)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]
    assert received.count(b'"body": ""') == received.count(b'"body": "hi"') == 1


async def test_compressed_body_is_not_decompressed(url: str) -> None:
    """The function gets the bytes that were sent."""
    answer = await ask(url, "POST", "/api/echo", [("Content-Encoding", "gzip")], b"not gzip")
    assert answer.json()["body"] == "not gzip"


async def test_expected_continue_is_sent(url: str) -> None:
    """A client that waits for `100 Continue` gets it, and then its answer."""
    expecting = b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    interim, _, final = (await exchange_raw(url, HEAD + expecting, b"hello")).partition(b"\r\n\r\n")
    assert (interim, final[:13]) == (b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 ")
    assert b'"body": "hello"' in final


@pytest.mark.parametrize(("count", "size"), [(1, 40_000), (10, 4_000), (120, 1)])
async def test_too_many_or_too_long_headers_are_431(url: str, count: int, size: int) -> None:
    """40 KB of headers are refused, in one header or in many, and so are 120 headers."""
    headers = [(f"X-{number}", "x" * size) for number in range(count)]
    assert_empty(431, await ask(url, "GET", "/api/echo", headers))


@pytest.mark.parametrize(
    "request_head",
    [b"GET", b"GET /api/echo/\xff HTTP/1.1", b"GET /api/echo HTTP/1.1\r\nX-Name: \xc3\xa9"],
    ids=["broken-line", "raw-byte-in-path", "raw-byte-in-header"],
)
async def test_request_that_is_not_valid_http_is_400(url: str, request_head: bytes) -> None:
    """A request that cannot be read is refused with an empty 400."""
    answer = await exchange(url, request_head + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (answer.status, answer.body, answer.one("Server")) == (400, b"", "Kestrel")
