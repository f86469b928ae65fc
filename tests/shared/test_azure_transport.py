"""The transport of the Azure SDKs, by requests to a server on loopback, and what their errors mean."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.rest import HttpRequest

from shared.azure_transport import AzureTransport, unavailable
from shared.errors import KeyUnavailable, StorageUnavailable
from shared.http import IN_FLIGHT, Connections
from tests.support.raw_server import (
    HANG,
    RESET,
    RawServer,
    Step,
    answer,
    full_backlog,
    silent_for_a_minute,
)
from tests.support.time import let_pass

LARGEST = 1000


@pytest.fixture
async def transport() -> AsyncIterator[AzureTransport]:
    async with AzureTransport(None, LARGEST) as made:
        yield made


def url_of(server: RawServer) -> str:
    return server.connection_string.partition("TableEndpoint=")[2]


async def status(transport: AzureTransport, url: str) -> int:
    response = await transport.send(HttpRequest("PUT", url))
    return int(response.status_code)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (RESET, ServiceResponseError),
        (answer(200, "x" * (LARGEST + 1)), IncompleteReadError),
        (answer(200, "x", {"Content-Encoding": "gzip"}), IncompleteReadError),
    ],
)
async def test_request_that_may_have_been_applied_is_not_told_as_unsent(
    transport: AzureTransport, reply: Step, error: type[Exception]
) -> None:
    """`ServiceRequestError` makes the SDKs send a request again, also on a connection that was used before."""
    async with RawServer(answer(200), reply) as server:
        assert await status(transport, url_of(server)) == 200
        with pytest.raises(error):
            await status(transport, url_of(server))

    assert len(server.received) == 2


async def test_refused_connection_is_told_as_unsent(transport: AzureTransport) -> None:
    async with RawServer(HANG) as server:
        url = url_of(server)
    with pytest.raises(ServiceRequestError):
        await status(transport, url)


async def test_connection_that_is_not_made_in_time_is_told_as_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs' own time limit, five minutes, is longer than any caller waits."""
    monkeypatch.setattr("shared.azure_transport.CONNECT_SECONDS", 0.05)
    with full_backlog() as url:
        async with AzureTransport(None, LARGEST) as transport, asyncio.timeout(5):
            with pytest.raises(ServiceRequestTimeoutError):
                await status(transport, url)


async def test_silence_ends_a_call() -> None:
    """Options of an SDK's client do not reach a transport that it is given."""
    async with (
        RawServer(silent_for_a_minute) as server,
        AzureTransport(None, LARGEST, read_timeout=30) as transport,
    ):
        with pytest.raises(ServiceResponseTimeoutError):
            async with asyncio.timeout(61):
                await status(transport, url_of(server))


async def test_largest_answer_is_taken_as_it_is(transport: AzureTransport) -> None:
    async with RawServer(answer(200, "x" * LARGEST)) as server:
        response = await transport.send(HttpRequest("GET", url_of(server)))
        assert response.text() == "x" * LARGEST


async def test_calls_under_way_are_bounded_and_cancelled_ones_give_their_places_back(
    transport: AzureTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that hangs holds `IN_FLIGHT` requests, and none after they were cancelled; others give up in time."""
    monkeypatch.setattr("shared.http.GATE_SECONDS", 30)
    monkeypatch.setattr("shared.http.CONNECT_SECONDS", 90)
    async with RawServer(*[HANG] * IN_FLIGHT, answer(200)) as server:
        calls = [asyncio.create_task(status(transport, url_of(server))) for _ in range(IN_FLIGHT)]
        await server.arrived(IN_FLIGHT)
        refused = asyncio.create_task(status(transport, url_of(server)))
        await asyncio.sleep(0)
        let_pass(30)
        with pytest.raises(ServiceRequestTimeoutError):
            await refused
        assert len(server.received) == IN_FLIGHT
        waiting = asyncio.create_task(status(transport, url_of(server)))
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert await waiting == 200


async def test_connections_of_the_process_outlive_one_client() -> None:
    async with RawServer(answer(200)) as server:
        connections = Connections()
        first, second = AzureTransport(connections, LARGEST), AzureTransport(connections, LARGEST)
        assert await status(first, url_of(server)) == 200
        await first.close()
        assert await status(second, url_of(server)) == 200
        await connections.aclose()

    assert [request.connection for request in server.received] == [1, 1]


def _answered(status: int, kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    error = kind("its text may quote a secret")
    error.status_code = status
    return error


@pytest.mark.parametrize(
    ("fault", "code", "detail", "lasting"),
    [
        (KeyUnavailable("no identity", retry_after=7), "", "no token for the shop: no identity", False),
        (TimeoutError(), "", "the shop did not answer in time", False),
        (ServiceRequestError("secret", error=TimeoutError()), "", "the shop did not answer in time", False),
        (
            ServiceRequestError("secret", error=OSError()),
            "",
            "the shop did not answer usably: OSError",
            False,
        ),
        (ValueError("secret"), "", "the shop did not answer usably: ValueError", False),
        (_answered(200), "", "the shop answered 200: the answer cannot be used", False),
        (_answered(302), "", "the shop answered 302", False),
        (_answered(503), "Busy", "the shop answered 503 Busy", False),
        (_answered(403), "Closed", "the shop answered 403 Closed: open it", True),
        (_answered(403), "", "the shop answered 403: knock", True),
        (ResourceNotFoundError("made by the SDK"), "", "the shop answered 404", False),
    ],
)
def test_what_a_call_raised_is_explained_without_its_text(
    fault: Exception, code: str, detail: str, lasting: bool
) -> None:
    """Advice is found by the code first, and then by the status. Who waits for a token waits as long as that takes."""
    advice: dict[object, str] = {"Closed": "open it", 403: "knock"}

    error = unavailable(StorageUnavailable, "the shop", fault, advice, code=code, lasting=(403,))

    wait = 7 if isinstance(fault, KeyUnavailable) else 1
    assert (error.detail, error.lasting, error.retry_after) == (detail, lasting, wait)
