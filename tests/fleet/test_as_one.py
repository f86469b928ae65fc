"""Two processes over one store behave as one broker."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from local.simulator import FaceSimulator
from tests.fleet.fleet import Fleet, running_fleet
from tests.support.azurite import Azurite

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("fleet")]

FIRST, SECOND = 0, 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(2, azurite, simulator) as running:
        yield running


async def test_session_of_one_process_is_read_and_revoked_at_the_other(fleet: Fleet) -> None:
    """A revocation at the second process holds at the first, and at Face."""
    device_id = _new_id()
    session = (await fleet.create(FIRST, device_id)).json()
    await fleet.perform(session)

    result = await fleet.result(SECOND, session)
    revoked = await fleet.revoke(SECOND, session)
    after = [await fleet.result(instance, session) for instance in (FIRST, SECOND)]

    assert (result.status_code, result.json()["passed"]) == (200, True)
    assert revoked.status_code == 204
    assert [(answer.status_code, _code(answer)) for answer in after] == [(404, "SessionNotFound")] * 2
    assert [session.deleted for session in fleet.sessions_of(device_id)] == [True]


async def test_concurrent_creates_with_one_key_get_one_session(fleet: Fleet) -> None:
    """Later ones wait and replay the first answer; another request with this key is refused."""
    device_id, key = _new_id(), _new_id()
    told = await asyncio.gather(*(_until_answered(fleet, number % 2, device_id, key) for number in range(8)))
    reused = await fleet.create(SECOND, f"{device_id}-2", key=key)

    assert len(set(told)) == 1
    assert len(fleet.sessions_of(device_id)) == 1
    assert (reused.status_code, _code(reused)) == (422, "IdempotencyKeyReused")


async def _until_answered(fleet: Fleet, instance: int, device_id: str, key: str) -> tuple[str, str]:
    async with asyncio.timeout(60):
        while True:
            answer = await fleet.create(instance, device_id, key=key)
            if answer.status_code == 200:
                return answer.json()["sessionId"], answer.json()["authToken"]
            assert _code(answer) == "IdempotencyInProgress"
            await asyncio.sleep(int(answer.headers["Retry-After"]))


def _new_id() -> str:
    """A device or an idempotency key that no other test used."""
    return secrets.token_urlsafe(24)


def _code(answer: httpx.Response) -> object:
    return answer.json()["error"]["code"]
