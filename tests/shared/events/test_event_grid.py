"""Publishing to an Event Grid on loopback, over TLS, with the real SDK and the real managed identity."""

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import trustme
from aiohttp import web

from shared.errors import EventsUnavailable
from shared.events.event_grid import EventGridPublisher, open_topic
from shared.http import Connections
from shared.keys.identity import ManagedIdentity
from tests.collect_result.workshop import MASKED
from tests.shared.events.event_grid_server import RESOURCE, FakeTopic, error
from tests.shared.events.test_cloud_event import event
from tests.shared.keys import conftest as azure
from tests.shared.keys.fake_azure import FakeIdentity
from tests.support.azurite import StubCredential

HOST = "events-test.westeurope-1.eventgrid.azure.net"
URL = f"https://{HOST}/api/events"
EVENT = event(MASKED) | {"data": event(MASKED)["data"] | {"principal": "jörg \U0001f600 \u2028"}}

# The identity endpoint, and names of Azure that lead to loopback, are those of the tests of the keys.
authority, names, connections = azure.authority, azure.names, azure.connections
endpoint, identity = azure.endpoint, azure.identity


@pytest.fixture
async def topic(
    endpoint: FakeIdentity, authority: trustme.CA, names: azure.Names
) -> AsyncIterator[FakeTopic]:
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(certificate)
    topic = FakeTopic(endpoint)
    async with azure.serve(topic.app(), certificate) as names[HOST]:
        yield topic


@pytest.fixture
async def publisher(
    topic: FakeTopic, identity: ManagedIdentity, connections: Connections
) -> AsyncIterator[EventGridPublisher]:
    async with aclosing(open_topic(URL, identity, connections)) as opened:
        yield opened


async def failure(publisher: EventGridPublisher) -> EventsUnavailable:
    with pytest.raises(EventsUnavailable) as unavailable:
        await publisher.publish(EVENT)
    return unavailable.value


async def test_event_is_published_with_the_managed_identity(
    publisher: EventGridPublisher, topic: FakeTopic, endpoint: FakeIdentity
) -> None:
    """One token for Event Grid, one request for each event; what arrives is a batch of it, nulls included."""
    await publisher.publish(EVENT)
    await publisher.publish(EVENT)
    assert topic.batches == [[EVENT], [EVENT]]
    assert topic.posts == 2
    assert endpoint.calls == [{"api-version": "2019-08-01", "resource": RESOURCE}]


ROLE = "the app's identity needs the role EventGrid Data Sender on the topic"
JSON = "application/json"
FOREIGN = "200 with a body: it is not its own answer"
# A redirect to a host that is there, and is not to get the event or its token.
ELSEWHERE = {"Location": f"https://{HOST}/elsewhere"}
REFUSALS = [
    (web.Response(status=302, headers=ELSEWHERE), "302", False),
    (web.Response(status=307, headers=ELSEWHERE), "307", False),
    (error(400, "BadRequest"), "400: it does not take the event as it is", True),
    (error(401, "Unauthorized"), f"401: {ROLE}", False),
    (error(403, "Forbidden"), f"403: {ROLE}, and the topic's network rules have to admit the app", False),
    (error(404, "NotFound"), "404: there is no such topic", False),
    (error(413, "TooLarge"), "413: the event is larger than it takes", True),
    (error(429, "TooMany"), "429", False),
    (web.Response(status=202), "202: the answer cannot be used", False),
    (web.Response(status=502, text="<html>"), "502", False),
    (web.Response(text="<p>Please sign in", content_type="text/html"), FOREIGN, False),
    (web.Response(body=b"{}", content_type=JSON), FOREIGN, False),
    (web.Response(body=b"{", content_type=JSON), FOREIGN, False),
    (web.Response(body=bytes(100_000)), None, False),
    (web.Response(status=500, body=b"x", headers={"Content-Encoding": "gzip"}), None, False),
    (web.Response(status=500, body=b"\xff\xfe", content_type=JSON), None, False),
    (web.Response(status=500, body=b"x", headers={"Content-Type": "text/plain; charset=no"}), None, False),
]


@pytest.mark.parametrize(("answer", "detail", "lasting"), REFUSALS)
async def test_refused_event_is_explained_and_not_sent_again(
    publisher: EventGridPublisher, topic: FakeTopic, answer: web.Response, detail: str | None, lasting: bool
) -> None:
    """The operator reads what to do. Only a refusal of the event itself lasts; the collector retries the others."""
    topic.trouble = answer

    refused = await failure(publisher)

    assert refused.detail.startswith("Event Grid ")
    assert detail is None or refused.detail == f"Event Grid answered {detail}"
    assert (refused.lasting, topic.posts) == (lasting, 1)


@pytest.mark.parametrize(
    ("header", "seconds"), [("17", 17), ("0", 1), ("99999999", 3600), ("soon", 1), ("-1", 1), ("²", 1)]
)
async def test_retry_after_reaches_the_collector(
    publisher: EventGridPublisher, topic: FakeTopic, header: str, seconds: float
) -> None:
    """An hour at most, and a second where there is no number; the SDK does not wait by itself."""
    topic.trouble = error(503, "Busy", Retry_After=header)

    assert (await failure(publisher)).retry_after == seconds
    assert topic.posts == 1


async def test_event_after_a_failure_is_published(publisher: EventGridPublisher, topic: FakeTopic) -> None:
    """A broken connection or a refusal has no effect on the next event, and is tried again by the collector alone."""
    topic.hang_up = True
    assert (await failure(publisher)).detail.startswith("Event Grid did not answer usably: ConnectionBroken")
    topic.hang_up = False
    topic.trouble = error(503, "ServerBusy")
    await failure(publisher)
    topic.trouble = None

    await publisher.publish(EVENT)
    assert (topic.batches, topic.posts) == ([[EVENT]], 3)


@pytest.mark.parametrize("end", ["net", "us", "cn"])
async def test_a_topic_gets_a_token_of_its_own_cloud(end: str, connections: Connections) -> None:
    """The SDK would ask for a token of the public cloud, which the topics of the others refuse."""
    credential, url = StubCredential(), f"https://topic.region-1.eventgrid.azure.{end}/api/events"
    async with aclosing(open_topic(url, credential, connections)) as publisher:
        await failure(publisher)

    assert credential.scopes == [f"https://eventgrid.azure.{end}/.default"]
