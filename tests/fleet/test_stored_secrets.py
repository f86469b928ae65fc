"""Two processes over one store keep no token, key or device id in it."""

import base64
import secrets
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from shared.storage.port import Entity, Table
from tests.fleet.fleet import PEPPER, Fleet, running_fleet
from tests.fleet.stored import stored_files
from tests.support.azurite import Azurite
from tests.support.broker import FACE_KEY

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

FIRST, SECOND = 0, 1
LIMIT = 3
PLANTED = "planted-secret-of-the-tests"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(kept_azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(2, kept_azurite, simulator, THROTTLE_DEVICE=f"{LIMIT}/10m") as running:
        yield running


async def test_no_token_key_or_device_id_is_stored(
    fleet: Fleet, simulator: FaceSimulator, kept_azurite: Azurite
) -> None:
    """All bytes of tables and queues are searched, after checks, replays, refusals, failures and revocations.

    The search finds session ids, which are no secret, and a text that is planted in a row and in a hidden message.
    """
    secret = {FACE_KEY, PEPPER, *await _drive(fleet)}
    secret |= {session.auth_token for session in simulator.sessions}
    await _plant(kept_azurite)

    stored = await stored_files(kept_azurite)

    assert {text: places for text in secret if (places := stored.holding(text))} == {}
    tables, queues = "__azurite_db_table__.json", "__queuestorage__"
    assert {tables, queues} <= stored.holding(PLANTED)
    assert queues in stored.holding('"reason": "sweep"')
    for name in ("sessions", "throttle", "idempotency", *(one.session_id for one in simulator.sessions)):
        assert tables in stored.holding(name) or queues in stored.holding(name)


async def _drive(fleet: Fleet) -> set[str]:
    """Use the fleet well and badly; return the secrets, except for the tokens that Face knows."""
    secret: set[str] = set()
    for kind in ("realface", "spoofface", "mask", "digest-mismatch", "no-attempt"):
        secret |= await _check(fleet, kind)
    for device in ("sim-create-500", "sim-create-401", "sim-create-429"):
        key = secrets.token_urlsafe(24)
        assert (await fleet.create(FIRST, device, key=key)).status_code >= 500
        secret |= {device, key}
    return secret


async def _check(fleet: Fleet, kind: str) -> set[str]:
    """One check with a replay and a wrong token; then creates until one is refused, and a revocation."""
    device, key, wrong = f"sim-{kind}", secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    session: Mapping[str, str] = (await fleet.create(FIRST, device, key=key)).json()
    assert (await fleet.create(SECOND, device, key=key)).json()["sessionId"] == session["sessionId"]
    await fleet.perform(session)
    assert (await fleet.result(FIRST, session)).status_code == 200
    assert (await fleet.result(SECOND, {**session, "authToken": wrong})).status_code == 404
    more = [await fleet.create(number % 2, device) for number in range(LIMIT)]
    assert {answer.status_code for answer in more} == {200, 429}
    assert (await fleet.revoke(SECOND, more[0].json())).status_code == 204
    return {device, key, wrong}


async def _plant(azurite: Azurite) -> None:
    sealed = base64.b64encode(f"xy{PLANTED}".encode()).decode()
    store, queue = azurite.account.open_tables(), azurite.account.open_queue("planted")
    await store.insert(Table.SESSIONS, Entity("planted", {"sealed": sealed}, 1))
    await queue.send(f"xy{PLANTED}", 600)
    await store.aclose()
    await queue.aclose()
