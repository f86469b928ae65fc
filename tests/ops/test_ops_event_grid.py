"""`ops events republish` to an Event Grid topic, over TLS, with the real SDK and a managed identity."""

import json
import ssl
import uuid
from collections.abc import AsyncIterator

import pytest
import trustme

from local.ops.command_line import parse_ops
from local.ops.failures import Failure
from local.ops.running import perform
from shared.events.cloud_event import event_of
from shared.face.model import SessionStatus
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions
from tests.shared.events.event_grid_server import RESOURCE, FakeTopic, error
from tests.shared.keys import conftest as azure
from tests.shared.keys.fake_azure import FakeIdentity
from tests.support.azurite import Azurite

HOST = "ops-test.westeurope-1.eventgrid.azure.net"

# The identity endpoint, and names of Azure that lead to loopback, are those of the tests of the keys.
authority, trusted, names, endpoint = azure.authority, azure.trusted, azure.names, azure.endpoint


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
async def record(azurite: Azurite) -> SessionRecord:
    """A session that ended without its event."""
    made = SessionRecord(
        str(uuid.uuid4()), "x", "x", 1_000, 2_000, status=SessionStatus.EXPIRED, completed_at=3_000
    )
    store = azurite.account.open_tables(deadline=10)
    await Sessions(store, 30).add(made)
    await store.aclose()
    return made


async def republish(azurite: Azurite, record: SessionRecord) -> None:
    """Run the command as on a machine that has an identity."""
    environment = {
        "AzureWebJobsStorage": azurite.connection_string,
        "EVENT_GRID_TOPIC_ENDPOINT": f"https://{HOST}/api/events",
        "IDENTITY_ENDPOINT": "as the platform says",
    }
    await perform(parse_ops(["events", "republish", "--session", record.session_id, "--json"]), environment)


async def test_event_arrives_as_the_app_made_it_each_time(
    topic: FakeTopic,
    endpoint: FakeIdentity,
    azurite: Azurite,
    record: SessionRecord,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Twice published is twice the same; the identity is asked for Event Grid alone."""
    await republish(azurite, record)
    await republish(azurite, record)

    assert topic.batches == [[event_of(record)]] * 2
    assert {call["resource"] for call in endpoint.calls} == {RESOURCE}
    assert [json.loads(line)["first"] for line in capsys.readouterr().out.splitlines()] == [True, False]


async def test_missing_role_is_named(
    topic: FakeTopic, azurite: Azurite, record: SessionRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is not let in learns which role it takes, and the session stays unpublished."""
    topic.trouble = error(403, "Forbidden")

    with pytest.raises(Failure, match=r"^1 event failed"):
        await republish(azurite, record)

    assert "EventGrid Data Sender" in capsys.readouterr().err
    topic.trouble = None
    await republish(azurite, record)
    assert json.loads(capsys.readouterr().out)["first"] is True
