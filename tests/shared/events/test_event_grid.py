"""Publishing to Event Grid, over TLS, with the real SDK and the real managed identity."""

import asyncio
import json
import re
import ssl
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from aiohttp import web
from azure.core.credentials import AzureKeyCredential
from hypothesis import HealthCheck, given, settings

from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.events.event_grid import EventGridPublisher, open_topic
from shared.keys.identity import ManagedIdentity
from shared.sessions.record import SessionRecord
from shared.settings import Settings
from tests.shared.events.event_grid_server import KEY, RESOURCE, FakeTopic, error
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


def test_address_of_the_test_is_one_that_settings_take() -> None:
    """The topic's endpoint in Azure has the form that is published to here."""
    given = {"FACE_REGION": "westeurope", "FACE_KEY": "a", "EVENT_GRID_TOPIC_ENDPOINT": URL}

    assert Settings.from_mapping(given).event_grid_topic_endpoint == URL


async def test_event_is_published_with_the_managed_identity(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity
) -> None:
    """One token for Event Grid, one request for each event, and what arrives is a batch of that event."""
    await publisher.publish(EVENT)
    await publisher.publish(EVENT)

    assert topic.batches == [[EVENT], [EVENT]]
    assert topic.posts == 2
    assert endpoint.calls == [{"api-version": "2019-08-01", "resource": RESOURCE}]


async def test_event_is_published_with_the_key_of_a_topic(topic: FakeTopic) -> None:
    """Where a topic still takes keys, one is sent in its header."""
    publisher = open_topic(URL, AzureKeyCredential(KEY))
    await publisher.publish(EVENT)
    await publisher.aclose()

    assert topic.batches == [[EVENT]]


@pytest.mark.parametrize("milliseconds", [0, 1, 10, 100, 120, 999])
async def test_time_arrives_as_it_was_written(
    publisher: EventGridPublisher, topic: FakeTopic, milliseconds: int
) -> None:
    """The SDK parses it and writes it anew: to the millisecond, trailing zeros included."""
    event = {**EVENT, "time": f"2026-11-23T09:52:00.{milliseconds:03}Z"}
    await publisher.publish(event)

    assert topic.batches == [[event]]


async def test_event_without_a_trace_is_given_none(publisher: EventGridPublisher, topic: FakeTopic) -> None:
    """The SDK adds no attribute of its own."""
    event = {name: value for name, value in EVENT.items() if name != "traceparent"}
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
    """Whatever became of a session: no attribute is lost, added or rewritten on the way, and no null is."""
    event = event_of(record)
    await publisher.publish(event)

    assert topic.batches.pop() == [event]
    topic.bodies.clear()


REFUSALS = [
    pytest.param(error(400, "BadRequest"), "Event Grid answered 400: it does not take the event", id="400"),
    pytest.param(
        error(401, "Unauthorized"), "answered 401: .* role EventGrid Data Sender on the topic", id="401"
    ),
    pytest.param(
        error(403, "Forbidden"), "answered 403: .* role EventGrid Data Sender on the topic", id="403"
    ),
    pytest.param(error(403, "Forbidden"), "the topic's network rules have to admit the app", id="firewall"),
    pytest.param(error(404, "NotFound"), "Event Grid answered 404: there is no such topic", id="404"),
    pytest.param(error(413, "TooLarge"), "Event Grid answered 413: the event is larger", id="413"),
    pytest.param(error(429, "TooMany"), "Event Grid answered 429$", id="429"),
    pytest.param(error(500, "InternalServerError"), "Event Grid answered 500$", id="500"),
    pytest.param(error(503, "ServerBusy"), "Event Grid answered 503$", id="503"),
    pytest.param(web.Response(status=202), "Event Grid answered 202$", id="not what it promises"),
    pytest.param(web.Response(status=502, text="<html>"), "Event Grid answered 502$", id="a gateway"),
    pytest.param(
        web.Response(status=500, body=b"{", content_type="application/json"), "answered 500$", id="no JSON"
    ),
    pytest.param(
        web.Response(body=b"{", content_type="application/json"),
        "Event Grid answered 200$",
        id="200, no JSON",
    ),
    pytest.param(
        web.Response(status=500, body=b"x", headers={"Content-Encoding": "gzip"}), "Event Grid", id="no gzip"
    ),
    pytest.param(
        web.Response(status=400, body=b"\xff\xfe", content_type="application/json"),
        "Event Grid",
        id="no UTF-8",
    ),
    pytest.param(
        web.Response(status=500, body=b"\xff", headers={"Content-Type": "text/plain; charset=nothing"}),
        "Event Grid",
        id="no charset",
    ),
]


@pytest.mark.parametrize(("answer", "said"), REFUSALS)
async def test_event_that_was_not_taken_is_told_and_not_sent_again(
    publisher: EventGridPublisher, topic: FakeTopic, answer: web.Response, said: str
) -> None:
    """The operator learns what to do; the collector's own delays are the retries."""
    topic.trouble = answer

    assert re.search(said, (await failure(publisher)).detail)
    assert topic.posts == 1


@pytest.mark.parametrize(
    ("status", "lasting"), [(400, True), (413, True), (401, False), (403, False), (404, False), (503, False)]
)
async def test_refusal_of_the_event_itself_is_told_from_others(
    publisher: EventGridPublisher, topic: FakeTopic, status: int, lasting: bool
) -> None:
    """The same event again is refused again; roles, rules and topics are mended."""
    topic.trouble = error(status, "Refused")

    assert (await failure(publisher)).lasting is lasting


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [("17", 17), ("0", 0), ("99999999", 3600), ("soon", 1), ("-1", 1), ("²", 1)],
    ids=["seconds", "at once", "longer than makes sense", "word", "negative", "no digit"],
)
async def test_wait_that_event_grid_asks_for_is_passed_on(
    publisher: EventGridPublisher, topic: FakeTopic, status: int, said: str, seconds: float
) -> None:
    """`Retry-After` reaches the collector, within an hour; the SDK does not wait by itself."""
    topic.trouble = error(status, "Busy", Retry_After=said)

    assert (await failure(publisher)).retry_after == seconds
    assert topic.posts == 1


async def test_event_grid_that_says_nothing_is_given_up_at_the_deadline(
    topic: FakeTopic, identity: ManagedIdentity
) -> None:
    """Whether the event was taken is not known then: it will be published again, under its id."""
    topic.open.clear()
    publisher = open_topic(URL, identity, deadline=0.5)

    assert (await failure(publisher)).detail in (
        "Event Grid did not answer in time",
        "Event Grid did not answer usably: ServiceResponseTimeoutError",
    )
    topic.open.set()
    await publisher.aclose()


async def test_event_grid_that_drips_is_given_up_at_the_deadline(
    topic: FakeTopic, identity: ManagedIdentity
) -> None:
    """An answer that goes on and on never lets a single read time out."""
    topic.drips = True
    publisher = open_topic(URL, identity, deadline=0.5)

    async with asyncio.timeout(10):
        assert (await failure(publisher)).detail == "Event Grid did not answer in time"
    await publisher.aclose()


async def test_connection_that_breaks_is_told(publisher: EventGridPublisher, topic: FakeTopic) -> None:
    """The event may have been taken: nobody but the collector may send it again."""
    topic.hang_up = True

    assert (await failure(publisher)).detail.startswith("Event Grid did not answer usably: Service")
    assert topic.posts == 1


async def test_event_grid_that_is_down_is_told(
    publisher: EventGridPublisher, topic: FakeTopic, names: azure.Names
) -> None:
    """Nobody listens under its address."""
    names[HOST, 443] = ("127.0.0.1", 1)

    assert (await failure(publisher)).detail == "Event Grid did not answer usably: ServiceRequestError"


async def test_event_grid_that_comes_back_is_published_to(
    publisher: EventGridPublisher, topic: FakeTopic
) -> None:
    """A failure leaves nothing behind that would outlast it."""
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
    """Neither the token nor the event goes where an answer points."""
    elsewhere = FakeTopic(endpoint)
    runner, port = await azure.serve(elsewhere.app())
    topic.trouble = web.Response(status=status, headers={"Location": f"http://127.0.0.1:{port}/api/events"})

    assert (await failure(publisher)).detail == f"Event Grid answered {status}"
    assert (topic.posts, elsewhere.posts) == (1, 0)
    await runner.cleanup()


async def test_proxy_of_the_environment_is_not_asked(
    topic: FakeTopic, identity: ManagedIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events go to the topic and nowhere else."""
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
    """A token and an event are for Event Grid alone, not for whoever answers under its address."""
    stranger = FakeTopic(topic.identity)
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(HOST).configure_cert(certificate)
    runner, port = await azure.serve(stranger.app(), certificate)
    names[HOST, 443] = ("127.0.0.1", port)

    assert (await failure(publisher)).detail == "Event Grid did not answer usably: ServiceRequestError"
    assert stranger.posts == 0
    await runner.cleanup()


def test_credential_over_plain_http_is_refused_by_the_settings() -> None:
    """A topic's address that is not https never gets as far as a publisher."""
    given = {"FACE_REGION": "westeurope", "FACE_KEY": "a"}
    with pytest.raises(Exception, match="EVENT_GRID_TOPIC_ENDPOINT: expected"):
        Settings.from_mapping({**given, "EVENT_GRID_TOPIC_ENDPOINT": URL.replace("https", "http")})


async def test_missing_token_is_trouble_of_the_events(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity
) -> None:
    """Who publishes hears of one kind of failure, whatever is behind it; nothing is sent without a token."""
    endpoint.answer = (400, json.dumps({"statusCode": 400, "message": "No identity"}))

    assert (await failure(publisher)).detail.startswith(
        "no token for Event Grid: the managed identity is missing or not assigned to the app"
    )
    assert topic.posts == 0


@pytest.mark.parametrize("with_key", [True, False], ids=["key", "identity"])
async def test_failure_tells_no_secret(
    topic: FakeTopic, identity: ManagedIdentity, caplog: pytest.LogCaptureFixture, with_key: bool
) -> None:
    """Neither the errors with all that led to them nor a log at its most talkative has the key or a token."""
    caplog.set_level("DEBUG")
    credential: Any = AzureKeyCredential(KEY) if with_key else identity
    publisher = open_topic(URL, credential)
    told = repr(publisher)
    for answer in (error(401, "Unauthorized"), error(403, "Forbidden"), error(500, "InternalServerError")):
        topic.trouble = answer
        told += "".join(traceback.format_exception(await failure(publisher)))
    await publisher.aclose()

    assert topic.posts == 3
    assert CANARY not in told + caplog.text
