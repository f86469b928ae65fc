"""Publishing to an Event Grid on loopback, over TLS, with the real SDK and the real managed identity."""

import asyncio
import inspect
import json
import re
import ssl
import traceback
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web
from hypothesis import HealthCheck, given, settings

from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.events.event_grid import EventGridPublisher, open_topic
from shared.keys.identity import ManagedIdentity
from shared.sessions.record import SessionRecord
from tests.shared.events.event_grid_server import RESOURCE, FakeTopic, error
from tests.shared.events.schemas import final_records
from tests.shared.keys import conftest as azure
from tests.shared.keys.fake_azure import CANARY, FakeIdentity

HOST = "events-test.westeurope-1.eventgrid.azure.net"
URL = f"https://{HOST}/api/events"
EVENT = {
    "specversion": "1.0",
    "type": "liveness.session.completed",
    "source": "/face-liveness-broker/westeurope",
    "id": "c2fb751f-3dac-56ae-8a08-4b812433e054",
    "subject": "3df727b6-7603-42e7-80dd-f21527ae3f40",
    "time": "2026-11-23T14:13:01.324Z",
    "datacontenttype": "application/json",
    "dataschema": "https://face-liveness-broker.example/events/liveness.session.completed.v1.schema.json",
    "data": {"passed": True, "failure": None, "attempts": 1, "principal": "é😀", "nested": {"none": None}},
    "traceparent": "00-ccf4869efba4892d78984b361dbe19d5-678392cb8a7bb009-00",
}

# The identity endpoint, and names of Azure that lead to loopback, are those of the tests of the keys.
authority, trusted, names = azure.authority, azure.trusted, azure.names
endpoint, identity = azure.endpoint, azure.identity


@pytest.fixture
async def topic(
    endpoint: FakeIdentity, authority: trustme.CA, names: azure.Names, trusted: None
) -> AsyncIterator[FakeTopic]:
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(certificate)
    served = FakeTopic(endpoint)
    runner, port = await azure.serve(served.app(), certificate)
    names[HOST, 443] = ("127.0.0.1", port)
    yield served
    await runner.cleanup()


@pytest.fixture
async def publisher(topic: FakeTopic, identity: ManagedIdentity) -> AsyncIterator[EventGridPublisher]:
    opened = open_topic(URL, identity)
    yield opened
    await opened.aclose()


async def failure(publisher: EventGridPublisher) -> EventsUnavailable:
    with pytest.raises(EventsUnavailable) as unavailable:
        await publisher.publish(EVENT)
    return unavailable.value


async def test_event_is_published_with_the_managed_identity(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity
) -> None:
    """One token for Event Grid, one request for each event, and what arrives is a batch of that event."""
    await publisher.publish(EVENT)
    await publisher.publish(EVENT)

    assert topic.batches == [[EVENT], [EVENT]]
    assert topic.posts == 2
    assert endpoint.calls == [{"api-version": "2019-08-01", "resource": RESOURCE}]


@pytest.mark.parametrize("milliseconds", [0, 1, 120])
async def test_time_arrives_as_it_was_written(
    publisher: EventGridPublisher, topic: FakeTopic, milliseconds: int
) -> None:
    """The SDK parses it and writes it anew: to the millisecond, trailing zeros included."""
    event = {**EVENT, "time": f"2026-11-23T09:52:00.{milliseconds:03}Z"}
    await publisher.publish(event)

    assert topic.batches == [[event]]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(record=final_records())
async def test_event_of_any_record_arrives_unchanged(
    publisher: EventGridPublisher, topic: FakeTopic, record: SessionRecord
) -> None:
    """No attribute and no null is lost, added or rewritten on the way."""
    event = event_of(record)
    await publisher.publish(event)

    assert topic.batches.pop() == [event]
    topic.bodies.clear()


JSON = "application/json"
REFUSALS = [
    (error(400, "BadRequest"), "Event Grid answered 400: it does not take the event", True),
    (error(401, "Unauthorized"), "answered 401: .* role EventGrid Data Sender on the topic$", False),
    (
        error(403, "Forbidden"),
        "answered 403: .* Data Sender on the topic, and .* have to admit the app",
        False,
    ),
    (error(404, "NotFound"), "Event Grid answered 404: there is no such topic", False),
    (error(413, "TooLarge"), "Event Grid answered 413: the event is larger", True),
    (error(429, "TooMany"), "Event Grid answered 429$", False),
    (error(503, "ServerBusy"), "Event Grid answered 503$", False),
    (web.Response(status=202), "Event Grid answered 202$", False),
    (web.Response(status=502, text="<html>"), "Event Grid answered 502$", False),
    (web.Response(status=500, body=b"{", content_type=JSON), "answered 500$", False),
    (web.Response(body=b"{", content_type=JSON), "Event Grid answered 200$", False),
    (web.Response(status=500, body=b"x", headers={"Content-Encoding": "gzip"}), "Event Grid", False),
    (web.Response(status=500, body=b"\xff\xfe", content_type=JSON), "Event Grid", False),
    (
        web.Response(status=500, body=b"\xff", headers={"Content-Type": "text/plain; charset=nothing"}),
        "Event Grid",
        False,
    ),
]


@pytest.mark.parametrize(("answer", "detail", "lasting"), REFUSALS)
async def test_refused_event_is_explained_and_not_sent_again(
    publisher: EventGridPublisher, topic: FakeTopic, answer: web.Response, detail: str, lasting: bool
) -> None:
    """The operator reads what to do. Only a refusal of the event itself lasts; the collector retries the others."""
    topic.trouble = answer

    refused = await failure(publisher)

    assert re.search(detail, refused.detail)
    assert (refused.lasting, topic.posts) == (lasting, 1)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"), [("17", 17), ("0", 0), ("99999999", 3600), ("soon", 1), ("-1", 1), ("²", 1)]
)
async def test_retry_after_reaches_the_collector(
    publisher: EventGridPublisher, topic: FakeTopic, status: int, header: str, seconds: float
) -> None:
    """An hour at most, and a second where there is no number; the SDK does not wait by itself."""
    topic.trouble = error(status, "Busy", Retry_After=header)

    assert (await failure(publisher)).retry_after == seconds
    assert topic.posts == 1


@pytest.mark.parametrize("drips", [False, True])
async def test_silence_ends_at_the_deadline(topic: FakeTopic, identity: ManagedIdentity, drips: bool) -> None:
    """Also an answer that goes on byte by byte, so that no single read times out. Production waits 10 seconds."""
    topic.open.clear()
    topic.drips = drips
    publisher = open_topic(URL, identity, deadline=0.2)

    async with asyncio.timeout(10):
        assert (await failure(publisher)).detail in (
            "Event Grid did not answer in time",
            "Event Grid did not answer usably: ServiceResponseTimeoutError",
        )
    topic.open.set()
    await publisher.aclose()
    assert inspect.signature(open_topic).parameters["deadline"].default == 10.0


async def test_broken_connection_fails_the_event(publisher: EventGridPublisher, topic: FakeTopic) -> None:
    """Event Grid may have the event: only the collector sends it again."""
    topic.hang_up = True

    assert (await failure(publisher)).detail.startswith("Event Grid did not answer usably: Service")
    assert topic.posts == 1


async def test_event_grid_that_is_down_is_named(
    publisher: EventGridPublisher, topic: FakeTopic, names: azure.Names
) -> None:
    """Nothing listens at its address."""
    names[HOST, 443] = ("127.0.0.1", 1)

    assert (await failure(publisher)).detail == "Event Grid did not answer usably: ServiceRequestError"


async def test_event_after_a_failure_is_published(publisher: EventGridPublisher, topic: FakeTopic) -> None:
    """A failure has no effect on the next event."""
    topic.trouble = error(503, "ServerBusy")
    await failure(publisher)
    topic.trouble = None
    topic.hang_up = True
    await failure(publisher)
    topic.hang_up = False

    await publisher.publish(EVENT)
    assert topic.batches == [[EVENT]]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity, names: azure.Names, status: int
) -> None:
    """Neither the token nor the event is sent to another host."""
    elsewhere = FakeTopic(endpoint)
    runner, port = await azure.serve(elsewhere.app())
    topic.trouble = web.Response(status=status, headers={"Location": f"http://127.0.0.1:{port}/api/events"})

    assert (await failure(publisher)).detail == f"Event Grid answered {status}"
    assert (topic.posts, elsewhere.posts) == (1, 0)
    await runner.cleanup()


async def test_proxy_in_the_environment_is_not_used(
    topic: FakeTopic, identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events go to the topic directly."""
    proxy = FakeTopic(topic.identity)
    runner, port = await azure.serve(proxy.app())
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
    publisher = open_topic(URL, identity)
    await publisher.publish(EVENT)
    await publisher.aclose()

    assert (topic.posts, proxy.posts) == (1, 0)
    await runner.cleanup()


async def test_server_of_an_unknown_authority_is_sent_nothing(
    publisher: EventGridPublisher, topic: FakeTopic, names: azure.Names
) -> None:
    """The certificate is verified before a token or an event is sent."""
    stranger = FakeTopic(topic.identity)
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(certificate)
    runner, port = await azure.serve(stranger.app(), certificate)
    names[HOST, 443] = ("127.0.0.1", port)

    assert (await failure(publisher)).detail == "Event Grid did not answer usably: ServiceRequestError"
    assert stranger.posts == 0
    await runner.cleanup()


async def test_missing_token_fails_the_event(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity
) -> None:
    """The collector gets one kind of error, and nothing is sent without a token."""
    endpoint.answer = (400, json.dumps({"statusCode": 400, "message": "No identity"}))

    assert (await failure(publisher)).detail.startswith(
        "no token for Event Grid: the managed identity is missing or not assigned to the app"
    )
    assert topic.posts == 0


async def test_no_failure_shows_a_token(
    publisher: EventGridPublisher, topic: FakeTopic, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the errors with their causes, nor a log at DEBUG."""
    caplog.set_level("DEBUG")
    told = repr(publisher)
    for answer in (error(401, "Unauthorized"), error(403, "Forbidden"), error(500, "InternalServerError")):
        topic.trouble = answer
        told += "".join(traceback.format_exception(await failure(publisher)))

    assert topic.posts == 3
    assert CANARY not in told + caplog.text
