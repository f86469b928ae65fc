import asyncio
import gzip
import ssl
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from shared.face.transport import LARGEST_BODY, TIMEOUTS, Transport

from shared.errors import KeyUnavailable, UpstreamError, UpstreamFailure, UpstreamTimeout
from shared.face.answers import UpstreamRequest, UpstreamResponse
from shared.http import IN_FLIGHT
from tests.shared.face.doubles import KEY, plain_http_transport
from tests.shared.face.fault_server import (
    Behaviour,
    FaultServer,
    answer,
    close,
    drip,
    raw,
    reset,
    reset_after,
    silent,
    then_endless,
)
from tests.support.http import OwnTransport

GET = UpstreamRequest("GET", "/sessions")
POST = UpstreamRequest("POST", "/sessions", {"a": 1})
HEADERS = {"Ocp-Apim-Subscription-Key": KEY}

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

BROKEN_ANSWERS = {
    "reset": reset,
    "closed": close,
    "reset after the status line": reset_after(b"HTTP/1.1 200 OK\r\n"),
    "reset in the body": reset_after(OK + b'Content-Length: 50\r\n\r\n{"sess'),
    "half a head": raw(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "half a body": raw(OK + b'Content-Length: 50\r\n\r\n{"sess'),
    "half a chunk": raw(OK + b'Transfer-Encoding: chunked\r\n\r\n50\r\n{"sess'),
    "bad chunk size": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "bad content length": raw(OK + b"Content-Length: -5\r\n\r\n{}"),
    "two content lengths": raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "compressed chunks": raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "no http": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "http 2": raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 4),
    "bytes": raw(bytes(range(256)) * 8),
    "endless head": then_endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
}


async def send(
    url: str,
    request: UpstreamRequest = GET,
    *,
    http: httpx.AsyncBaseTransport | None = None,
    headers: dict[str, str] | None = None,
    within: float = 2.0,
) -> UpstreamResponse:
    async with http or plain_http_transport() as opened:
        return await Transport(opened, url).exchange(request, headers or HEADERS, within=within)


def raising(error: Exception) -> httpx.MockTransport:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(fail)


async def test_request_is_sent_as_it_was_meant() -> None:
    """Path, credential and body go out as given; nothing is offered but plain JSON."""
    async with FaultServer(answer(200)) as server:
        await send(server.url, POST)
    (received,) = server.received
    assert (received.method, received.target, received.json) == ("POST", "/sessions", {"a": 1})
    assert received.headers == {
        "host": server.url.removeprefix("http://"),
        "user-agent": "face-liveness-broker",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "8",
        "ocp-apim-subscription-key": KEY,
    }


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("behaviour", list(BROKEN_ANSWERS.values()), ids=list(BROKEN_ANSWERS))
async def test_broken_answer_is_an_ambiguous_failure(behaviour: Behaviour, request_: UpstreamRequest) -> None:
    """Once the request has left, a broken answer leaves open what became of it."""
    async with FaultServer(behaviour) as server:
        with pytest.raises(UpstreamFailure) as failure:
            await send(server.url, request_)
    assert failure.value.request_sent
    assert failure.value.__cause__ is not None
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        drip(b"HTTP/1.1 200 OK\r\n" * 100, 0.05),
        drip(OK + b"Content-Length: 1000\r\n\r\n" + b" " * 1000, 0.01),
        then_endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "dripping head", "dripping body", "endless provisional answers"],
)
async def test_slow_answer_is_cut_at_the_time_given(behaviour: Behaviour) -> None:
    """The time given is for all of the answer, however often a byte of it comes."""
    async with FaultServer(behaviour) as server:
        with pytest.raises(UpstreamTimeout) as failure:
            await send(server.url, within=0.3)
    assert failure.value.request_sent


async def test_only_a_server_with_a_trusted_certificate_gets_the_request() -> None:
    """Nothing is sent to a server that cannot prove who it is."""
    authority = trustme.CA()
    tls, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trusting)
    async with FaultServer(answer(200, b"{}"), tls=tls) as server:
        with pytest.raises(UpstreamFailure) as failure:
            await send(server.url)
        assert (failure.value.request_sent, server.received) == (False, [])
        assert (await send(server.url, http=OwnTransport(trusting))).body == b"{}"


async def test_each_wait_for_the_connection_has_a_limit() -> None:
    """The HTTP library gets the limits with each request."""
    requests: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    await send("http://127.0.0.1:1", http=httpx.MockTransport(record))
    assert requests[0].extensions["timeout"] == TIMEOUTS


async def test_connection_is_used_again_and_keeps_no_cookie() -> None:
    """One connection serves several requests, which have nothing else in common."""
    cookie = answer(200, b"{}", {"Set-Cookie": "affinity=canary; Path=/"})
    async with FaultServer(cookie) as server, plain_http_transport() as http:
        for _ in range(2):
            await Transport(http, server.url).exchange(POST, HEADERS, within=2.0)
    assert (server.connections, len(server.received)) == (1, 2)
    assert "cookie" not in server.received[1].headers


def _all_kinds(kind: type[httpx.RequestError]) -> Iterator[type[httpx.RequestError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_kinds(below)


NOT_SENT = {httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol}


@pytest.mark.parametrize("kind", list(_all_kinds(httpx.RequestError)))
async def test_every_error_of_httpx_becomes_ours(kind: type[httpx.RequestError]) -> None:
    """No kind of error of the HTTP library gets through, and only those before sending are certain."""
    error = kind("canary text")
    with pytest.raises(UpstreamError) as failure:
        await send("http://127.0.0.1:1", http=raising(error))
    assert failure.value.__cause__ is error
    assert failure.value.request_sent == (kind not in NOT_SENT)
    assert isinstance(failure.value, UpstreamTimeout) == issubclass(kind, httpx.TimeoutException)
    assert "canary" not in str(failure.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_redirect_is_not_followed(status: int, request_: UpstreamRequest) -> None:
    """The key does not go where Face, or somebody in its place, points to, whatever stands there."""
    async with FaultServer(answer(200, b"{}")) as canary:
        for place in (f"{canary.url}/elsewhere", "http://x:port/"):
            async with FaultServer(answer(status, b"", {"Location": place})) as server:
                response = await send(server.url, request_)
            assert (response.status, len(server.received)) == (status, 1)
    assert canary.connections == 0


async def test_proxy_and_password_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor a password file that the environment names gets to see a request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    async with FaultServer(answer(200, b"{}")) as proxy, FaultServer(answer(200, b"{}")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        await send(server.url)
    assert proxy.connections == 0
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    "path",
    [
        "/face/v1.2/detectLiveness-sessions/../../v1.0/largepersongroups",
        "/face/..",
        "/sessions/.",
        "/sessions#fragment",
        "/sessions two",
        "/sessions/ü",
        "/sessions\r\nX-Injected: 1",
        "/sessions\0",
        "@127.0.0.1:1/",
        ":1/sessions",
        ".evil.example/sessions",
        "",
    ],
)
async def test_url_that_is_not_the_one_meant_is_not_requested(path: str) -> None:
    """Whatever a URL library makes of a path: if that is not what was meant, nothing is sent."""
    async with FaultServer(answer(200, b"{}")) as server:
        with pytest.raises(UpstreamFailure) as failure:
            await send(server.url, UpstreamRequest("GET", path))
    assert not failure.value.request_sent
    assert server.connections == 0


@pytest.mark.parametrize(
    "value",
    [f"{KEY}\n", f"{KEY}\r\nX-Injected: 1", f" {KEY}", f"{KEY} ", f"{KEY}\0", f"{KEY}ü", ""],
    ids=repr,
)
async def test_credential_that_cannot_be_sent_is_in_no_error(value: str) -> None:
    """A key with a newline at its end is refused before a library puts it into an error text."""
    async with FaultServer(answer(200, b"{}")) as server:
        with pytest.raises(KeyUnavailable) as failure:
            await send(server.url, headers={"Ocp-Apim-Subscription-Key": value})
    assert server.connections == 0
    assert KEY not in "".join(traceback.format_exception(failure.value))


def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(30 * 1024 * 1024))


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(200, _gzip_bomb(), {"Content-Encoding": "gzip"}), id="gzip bomb"),
        pytest.param(answer(200, b"{}", {"Content-Encoding": "deflate"}), id="deflate"),
        pytest.param(answer(200, b"{}", {"Content-Encoding": "identity, gzip"}), id="several codings"),
        pytest.param(then_endless(OK + b"Content-Length: 10485760\r\n\r\n", b" " * 60_000), id="10 MB"),
        pytest.param(answer(200, b" " * (LARGEST_BODY + 1)), id="one byte too many"),
        pytest.param(then_endless(OK + b"\r\n", b" " * 60_000), id="endless"),
        pytest.param(
            then_endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"ea60\r\n" + b" " * 60_000 + b"\r\n"),
            id="endless chunks",
        ),
    ],
)
async def test_compressed_or_oversized_answer_is_not_read(behaviour: Behaviour) -> None:
    """A body that is compressed or too large counts as empty, and takes next to no memory."""
    async with FaultServer(behaviour) as server, plain_http_transport() as http:
        tracemalloc.start()
        try:
            response = await Transport(http, server.url).exchange(GET, HEADERS, within=5.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (response.body, response.unread) == (b"", True)
    assert peak < 5 * 1024 * 1024


async def test_largest_answer_is_read_whole() -> None:
    """An answer of just the size allowed is read."""
    async with FaultServer(answer(200, b" " * LARGEST_BODY)) as server:
        response = await send(server.url)
    assert (len(response.body), response.unread) == (LARGEST_BODY, False)


async def test_refused_answers_give_their_places_back() -> None:
    """More answers are refused than requests may be under way; then a request succeeds."""
    refused = [answer(200, b" " * (LARGEST_BODY + 1))] * (IN_FLIGHT + 1)
    async with FaultServer(*refused, answer(200, b"{}")) as server, plain_http_transport() as http:
        for _ in refused:
            assert (await Transport(http, server.url).exchange(GET, HEADERS, within=2.0)).unread
        assert (await Transport(http, server.url).exchange(GET, HEADERS, within=2.0)).body == b"{}"


@pytest.mark.parametrize("pause", [0.0, 0.005])
async def test_cancelled_requests_give_their_places_back(pause: float) -> None:
    """However many requests are cancelled at whatever moment, there is a place for the next one."""
    slow = drip(OK + b"Content-Length: 2\r\n\r\n{}", 0.001)
    async with FaultServer(slow) as server, plain_http_transport() as http:
        for _ in range(IN_FLIGHT + 1):
            given_up = asyncio.ensure_future(Transport(http, server.url).exchange(GET, HEADERS, within=2.0))
            await asyncio.sleep(pause)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        response = await Transport(http, server.url).exchange(GET, HEADERS, within=2.0)
    assert response.body == b"{}"
