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

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = 0, 1
LIMIT = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(azurite: Azurite, simulator: FaceSimulator) -> AsyncIterator[Fleet]:
    async with running_fleet(2, azurite, simulator, THROTTLE_DEVICE=f"{LIMIT}/10m") as running:
        yield running


@pytest.fixture
def device_id() -> str:
    """A device that nobody else used."""
    return f"device-{secrets.token_hex(8)}"


@pytest.fixture
def key() -> str:
    """An idempotency key that nobody else used."""
    return secrets.token_urlsafe(24)


async def test_session_of_one_process_is_read_and_revoked_at_the_other(fleet: Fleet, device_id: str) -> None:
    """What the second does shows on the first, and at Face."""
    session = (await fleet.create(FIRST, device_id)).json()
    await fleet.perform(session)

    result = await fleet.result(SECOND, session)
    revoked = await fleet.revoke(SECOND, session)
    after = [await fleet.result(instance, session) for instance in (FIRST, SECOND)]

    assert (result.status_code, result.json()["passed"]) == (200, True)
    assert revoked.status_code == 204
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in after] == [
        (404, "SessionNotFound")
    ] * 2
    assert [session.deleted for session in fleet.sessions_of(device_id)] == [True]


async def test_token_of_another_session_opens_none_at_the_other_process(fleet: Fleet, device_id: str) -> None:
    """Who was given a session is known everywhere, and nobody else is let in anywhere."""
    session = (await fleet.create(FIRST, device_id)).json()
    other = (await fleet.create(SECOND, device_id)).json()

    crossed = await fleet.result(SECOND, session | {"authToken": other["authToken"]})

    assert crossed.status_code == 404


async def test_same_key_at_both_processes_gets_one_answer(fleet: Fleet, device_id: str, key: str) -> None:
    """The second gives the first one's answer again: one session, one charge."""
    first = await fleet.create(FIRST, device_id, key=key)
    second = await fleet.create(SECOND, device_id, key=key)

    assert first.status_code == second.status_code == 200
    assert first.json()["sessionId"] == second.json()["sessionId"]
    assert first.json()["authToken"] == second.json()["authToken"]
    assert len(fleet.sessions_of(device_id)) == 1


async def test_same_key_at_both_processes_at_once_discloses_one_session(
    fleet: Fleet, device_id: str, key: str
) -> None:
    """Whoever comes second waits for the answer of the first, and nobody is given another one."""
    told = await asyncio.gather(*(_until_answered(fleet, number % 2, device_id, key) for number in range(8)))

    assert len(set(told)) == 1
    assert len(fleet.sessions_of(device_id)) == 1


async def test_same_key_for_another_request_is_refused_at_the_other_process(
    fleet: Fleet, device_id: str, key: str
) -> None:
    """A key belongs to its first request."""
    await fleet.create(FIRST, device_id, key=key)

    reused = await fleet.create(SECOND, f"{device_id}-2", key=key)

    assert (reused.status_code, reused.json()["error"]["code"]) == (422, "IdempotencyKeyReused")


async def test_device_is_charged_for_what_it_asks_of_either_process(fleet: Fleet, device_id: str) -> None:
    """In turns up to the limit; then both refuse."""
    granted = [await fleet.create(number % 2, device_id) for number in range(LIMIT)]
    refused = [await fleet.create(instance, device_id) for instance in (FIRST, SECOND)]

    assert [answer.status_code for answer in granted] == [200] * LIMIT
    assert [_remaining(answer) for answer in granted] == [2, 1, 0]
    assert [answer.headers.get("x-ms-error-code") for answer in refused] == ["DeviceThrottled"] * 2


async def _until_answered(fleet: Fleet, instance: int, device_id: str, key: str) -> tuple[str, str]:
    async with asyncio.timeout(60):
        while True:
            answer = await fleet.create(instance, device_id, key=key)
            if answer.status_code == 200:
                return answer.json()["sessionId"], answer.json()["authToken"]
            assert answer.json()["error"]["code"] == "IdempotencyInProgress"
            await asyncio.sleep(int(answer.headers["Retry-After"]))


def _remaining(answer: httpx.Response) -> int:
    return int(answer.headers["RateLimit"].partition("r=")[2].partition(";")[0])
