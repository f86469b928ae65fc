"""The HTTP connections over real sockets: bounded answers, no retries, a pool that survives cancelled calls."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from shared.http import IN_FLIGHT, NEVER_LEFT, Connections, HttpTransport
from shared.http_port import NoAnswer
from tests.support.raw_server import RawServer, answer, full_backlog

LARGEST = 64 * 1024


class Upstream:
    """A server on loopback; `slow` holds its answers back until it is set."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.let_go = asyncio.Event()
        self.all_places_taken = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if len(self.requests) == IN_FLIGHT:
            self.all_places_taken.set()
        match request.path:
            case "/large":
                return await self._large(request)
            case "/gzip":
                return web.Response(body=gzip.compress(b"x"), headers={"Content-Encoding": "gzip"})
            case "/slow":
                await self.let_go.wait()
            case "/broken":
                assert request.transport is not None
                request.transport.abort()
            case "/redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})
        return web.json_response({"raw_path": request.raw_path, "body": (await request.read()).decode()})

    async def _large(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(LARGEST))
        except ConnectionError:
            return response


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    server = web.Server(made.answer)
    runner = web.ServerRunner(server, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield made
    made.let_go.set()
    await runner.cleanup()


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpTransport]:
    # A loaded machine takes its time for many connections at once.
    monkeypatch.setattr("shared.http.CONNECT_SECONDS", 60)
    connections = Connections()
    yield connections.transport(largest_answer=LARGEST)
    await connections.aclose()


async def call(
    http: HttpTransport,
    url: str,
    method: str = "GET",
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send one request and read its answer."""
    answered = await http.send(method, url, headers or {}, content)
    assert not answered.unread
    return answered.status, answered.body


@asynccontextmanager
async def no_answer(*, sent: bool, timed_out: bool = False) -> AsyncIterator[None]:
    """Expect a request to have no answer, without a word of what was sent."""
    with pytest.raises(NoAnswer) as failed:
        yield
    assert (failed.value.sent, failed.value.timed_out) == (sent, timed_out)
    assert "secret" not in str(failed.value)


async def test_a_request_leaves_as_it_was_built(http: HttpTransport, upstream: Upstream) -> None:
    """Path, body and header fields are the caller's; the only one added is the coding that is taken."""
    status, body = await call(
        http, f"{upstream.url}/a/%2e%2e/b?c=%20", "POST", content=b"{}", headers={"X-Key": "v"}
    )

    assert (status, body) == (200, b'{"raw_path": "/a/%2e%2e/b?c=%20", "body": "{}"}')
    fields = {name.lower() for name in upstream.requests[0].headers}
    assert fields == {"host", "accept-encoding", "x-key", "content-length"}
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


async def test_no_redirect_is_followed_and_no_cookie_kept(http: HttpTransport, upstream: Upstream) -> None:
    """The answer of the first server is the answer."""
    # aiohttp's own jar keeps no cookie of an address.
    url = upstream.url.replace("127.0.0.1", "localhost")
    answered = await http.send("GET", f"{url}/redirect", {})
    await call(http, f"{url}/redirect")

    assert (answered.status, answered.headers["LOCATION"]) == (302, "/elsewhere")
    assert [request.path for request in upstream.requests] == ["/redirect", "/redirect"]
    assert "Cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize("path", ["/large", "/gzip"])
async def test_an_answer_that_is_too_large_or_encoded_is_refused(
    http: HttpTransport, upstream: Upstream, path: str
) -> None:
    """Its rest is never read, and the place of the request is free again. Its status may say enough."""
    for _ in range(IN_FLIGHT + 1):
        answered = await http.send("GET", upstream.url + path, {})
        assert (answered.status, answered.body, answered.unread) == (200, b"", True)


PACKED = gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0)
CHUNKS = b"2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        (b"Content-Encoding: identity\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 43\r\n", PACKED),
        (b"Content-Encoding: identity, gzip, gzip\r\nContent-Length: 43\r\n", PACKED),
        (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", CHUNKS),
    ],
    ids=["in a second field", "second in a field", "before chunks", "after chunks"],
)
async def test_a_coding_is_found_in_any_field(http: HttpTransport, fields: bytes, content: bytes) -> None:
    """A reader that undoes all codings would take a thousand times the memory of the answer."""
    async with RawServer(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + content) as server:
        assert (await http.send("GET", server.url, {})).unread


async def test_identity_and_chunks_are_no_coding(http: HttpTransport) -> None:
    """They are what was asked for."""
    fields = b"Content-Encoding: Identity\r\nTransfer-Encoding: Chunked\r\n"
    async with RawServer(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + CHUNKS) as server:
        assert await call(http, server.url) == (200, b"ok")


@pytest.mark.parametrize(
    "chunk", [b"no size\r\n", b"2\r\nok, and no end", b"f" * 17 + b"\r\n"], ids=["size", "end", "huge"]
)
async def test_a_chunk_that_breaks_off_the_answer_ends_the_call_at_once(
    http: HttpTransport, chunk: bytes
) -> None:
    """Also where it comes after the head was read."""

    async def answer_in_two_parts(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        for _ in range(10):
            # It is on loopback already: the next turns of the loop read it.
            await asyncio.sleep(0)
        writer.write(chunk)
        return True

    async with RawServer(answer_in_two_parts) as server, no_answer(sent=True), asyncio.timeout(5):
        await call(http, server.url)


async def test_a_broken_connection_is_not_tried_again(http: HttpTransport, upstream: Upstream) -> None:
    """Nobody can tell whether the request had its effect: it counts as sent."""
    await call(http, f"{upstream.url}/warm")
    async with no_answer(sent=True):
        await call(http, f"{upstream.url}/broken", "DELETE")

    assert [request.path for request in upstream.requests] == ["/warm", "/broken"]


@pytest.mark.parametrize(("idle", "connections"), [(4.0, 1), (4.1, 2)])
async def test_a_connection_that_was_idle_for_four_seconds_is_not_used_again(
    http: HttpTransport, monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    """Servers commonly close after five: a create that meets the end of its connection is lost."""
    now = 0.0
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now)
    async with RawServer(answer(200)) as server:
        await call(http, server.url)
        now = idle
        await call(http, server.url)
        assert server.connections == connections


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(http: HttpTransport) -> None:
    """The next caller would get the session of another one."""
    first_is_read, late_is_sent = asyncio.Event(), asyncio.Event()

    async def answer_twice(writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(200, "first"))
        await first_is_read.wait()
        writer.write(answer(200, "late"))
        late_is_sent.set()
        return True

    async with RawServer(answer_twice, answer(200, "second")) as server:
        assert await call(http, server.url) == (200, b"first")
        first_is_read.set()
        await late_is_sent.wait()
        for _ in range(10):
            # It is on loopback already: the next turns of the loop read it.
            await asyncio.sleep(0)
        assert await call(http, server.url) == (200, b"second")
        assert server.connections == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://", "no url"])
async def test_what_never_left_says_so(http: HttpTransport, url: str) -> None:
    """A closed port, an unknown name, and what is no URL: nothing was sent."""
    async with no_answer(sent=False):
        await call(http, url)


def kinds_of(error: type[Exception]) -> set[type[Exception]]:
    return {error}.union(*map(kinds_of, error.__subclasses__()))


def test_only_errors_of_urls_and_of_new_connections_count_as_not_sent() -> None:
    """A later version of aiohttp may derive others from them, which may come after a request was sent."""
    kinds = kinds_of(aiohttp.ClientError)
    assert {kind.__name__ for kind in kinds if issubclass(kind, NEVER_LEFT)} == {
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientProxyConnectionError",
        "ClientSSLError",
        "ConnectionTimeoutError",
        "InvalidURL",
        "InvalidUrlClientError",
        "InvalidUrlRedirectClientError",
        "UnixClientConnectorError",
    }


async def test_a_connection_that_is_not_made_in_time_says_so(
    http: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent to a server that takes no more connections."""
    monkeypatch.setattr("shared.http.CONNECT_SECONDS", 0.05)
    with full_backlog() as url:
        async with no_answer(sent=False, timed_out=True):
            await call(http, url)


async def test_a_request_that_cannot_be_sent_says_so_without_its_value(
    http: HttpTransport, upstream: Upstream
) -> None:
    """A header field with a line break. No error of a kind that may come from an answer counts as not sent."""
    async with no_answer(sent=True):
        await call(http, upstream.url, headers={"X-Key": "a\r\nsecret"})

    assert not upstream.requests


async def test_calls_that_were_cancelled_take_no_place_for_good(
    http: HttpTransport, upstream: Upstream
) -> None:
    """Twice as many calls as there are places are cancelled again and again; then each call succeeds."""
    for _ in range(2):
        calls = [asyncio.create_task(call(http, f"{upstream.url}/slow")) for _ in range(2 * IN_FLIGHT)]
        for turn in range(40):
            await asyncio.sleep(0)
            calls[turn].cancel()
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    upstream.let_go.set()
    answers = await asyncio.gather(*[call(http, f"{upstream.url}/slow") for _ in range(IN_FLIGHT)])
    assert {status for status, _ in answers} == {200}


async def test_a_dependency_that_hangs_holds_up_no_other(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All places of one transport are taken; another transport over the same connections answers."""
    monkeypatch.setattr("shared.http.GATE_SECONDS", 0.1)
    connections = Connections()
    hanging = connections.transport(largest_answer=LARGEST)
    other = connections.transport(largest_answer=LARGEST)
    calls = [asyncio.create_task(call(hanging, f"{upstream.url}/slow")) for _ in range(IN_FLIGHT)]
    await upstream.all_places_taken.wait()

    assert (await call(other, f"{upstream.url}/quick"))[0] == 200
    async with no_answer(sent=False, timed_out=True):
        await call(hanging, f"{upstream.url}/quick")
    upstream.let_go.set()
    await asyncio.gather(*calls)
    await connections.aclose()
