"""Nothing that opens or names anything is ever stored: every byte of tables, queues and files is searched."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest
import pytest_asyncio
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.simulator import FaceSimulator
from tests.fleet.fleet import PEPPER, Fleet, running_fleet
from tests.fleet.stored import KeptAzurite, files_of, holding, messages_of, rows_of
from tests.support.broker import FACE_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANTED = "planted-secret-of-the-tests"


@pytest.fixture(scope="module")
def kept_azurite() -> Iterator[KeptAzurite]:
    """An Azurite of these tests' own, whose files can be read."""
    with KeptAzurite() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(kept_azurite: KeptAzurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(2, kept_azurite, simulator, THROTTLE_DEVICE="4/10m") as running:
        yield running


async def test_no_token_key_or_device_id_is_stored(
    fleet: Fleet, simulator: FaceSimulator, kept_azurite: KeptAzurite
) -> None:
    """After sessions with keys, results of all kinds, refusals, failures, wrong tokens and revocations."""
    secret = {FACE_KEY, PEPPER, *await drive(fleet)}
    secret |= {session.auth_token for session in simulator.sessions}

    rows, messages = await rows_of(kept_azurite), await messages_of(kept_azurite)
    await asyncio.to_thread(kept_azurite.stop)
    files = files_of(kept_azurite)
    await asyncio.to_thread(kept_azurite.start)

    tables = {name.partition("/")[0] for name in rows}
    assert tables == {"sessions", "throttle", "idempotency"}
    assert holding(files, '"reason": "sweep"')
    stored = rows | messages | files
    assert [(text, places) for text in secret if (places := holding(stored, text))] == []
    # What is no secret is found, in the same places: the search sees them.
    for session in simulator.sessions:
        assert holding(rows, session.session_id) or session.deleted
        assert holding(files, session.session_id)
    assert any("answer" in content for content in map(bytes.decode, rows.values()))


async def test_search_finds_what_was_planted(kept_azurite: KeptAzurite) -> None:
    """A secret in a row, in a hidden message and in one that shows: wherever one could be, it is seen."""
    async with (
        TableServiceClient.from_connection_string(kept_azurite.connection_string) as tables,
        QueueServiceClient.from_connection_string(kept_azurite.connection_string) as queues,
    ):
        table = await tables.create_table("planted")
        await table.create_entity({"PartitionKey": "p", "RowKey": "plain", "value": f"a {PLANTED} b"})
        await table.create_entity({"PartitionKey": "p", "RowKey": "binary", "value": PLANTED.encode()})
        sealed = base64.b64encode(f"xy{PLANTED}".encode()).decode()
        await table.create_entity({"PartitionKey": "p", "RowKey": "base64", "value": sealed})
        shows, hidden = await queues.create_queue("shows"), await queues.create_queue("hidden")
        await shows.send_message(sealed)
        await hidden.send_message(sealed, visibility_timeout=600)

    rows, messages = await rows_of(kept_azurite), await messages_of(kept_azurite)
    await asyncio.to_thread(kept_azurite.stop)
    files = files_of(kept_azurite)
    await asyncio.to_thread(kept_azurite.start)

    assert set(holding(rows, PLANTED)) == {"planted/plain", "planted/binary", "planted/base64"}
    assert [name.partition("/")[0] for name in holding(messages, PLANTED)] == ["shows"]
    assert {name.partition("/")[0] for name in holding(files, PLANTED)} == {
        "__azurite_db_table__.json",
        "__queuestorage__",
    }


async def drive(fleet: Fleet) -> set[str]:
    """Do what phones do, well and badly; answer what must not be stored, except for the tokens that Face knows."""
    secret: set[str] = set()
    for kind in ("realface", "spoofface", "mask", "digest-mismatch", "no-attempt"):
        secret |= await _check(fleet, kind)
    for device in ("sim-create-500", "sim-create-401", "sim-create-429"):
        key = secrets.token_urlsafe(24)
        assert (await fleet.create(0, device, key=key)).status_code >= 500
        secret |= {device, key}
    return secret


async def _check(fleet: Fleet, kind: str) -> set[str]:
    """One check of a device, asked for twice under a key; then as many more as it takes to be refused; then revoked."""
    device, key, wrong = f"sim-{kind}", secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    session: Mapping[str, str] = (await fleet.create(0, device, key=key)).json()
    assert (await fleet.create(1, device, key=key)).json()["sessionId"] == session["sessionId"]
    await fleet.perform(session)
    assert (await fleet.result(0, session)).status_code == 200
    assert (await fleet.result(1, {**session, "authToken": wrong})).status_code == 404
    more = [await fleet.create(number % 2, device) for number in range(5)]
    assert {answer.status_code for answer in more} == {200, 429}
    assert (await fleet.revoke(1, more[0].json())).status_code == 204
    return {device, key, wrong}
