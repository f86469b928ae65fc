"""The smoke test, against the local host."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from scripts.broker_client import Failed, Service
from scripts.smoke import check_ready, main, smoke, wait_for_health
from tests.support.broker import FUNCTION_KEY, Broker, running_broker
from tests.support.easy_auth import guarded


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    async with running_broker() as running:
        yield running


async def test_all_steps_pass_against_the_local_host(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the documentation works on a laptop as it does in Azure."""
    code = await asyncio.to_thread(main, [broker.host.url, "--anonymous", "--key", FUNCTION_KEY])

    said = capsys.readouterr().out.splitlines()
    assert code == 0, said
    assert [line.split(":")[0].split("  ", 1)[-1].strip() for line in said] == [
        "health",
        "unauthenticated create",
        "create",
        "read",
        "read with another token",
        "revoke",
        "ready",
    ]


async def test_many_runs_are_not_throttled(broker: Broker) -> None:
    """Each run is a device of its own: the limits of one device do not end the sixth."""
    for _ in range(6):
        await asyncio.to_thread(smoke, Service(broker.host.url), print, anonymous=True)


async def test_a_broker_that_lets_anybody_in_fails(broker: Broker) -> None:
    """Without `--anonymous` an unauthenticated create that succeeds is the failure."""
    with pytest.raises(Failed, match="unauthenticated create: 401 was expected, and 200"):
        await asyncio.to_thread(smoke, Service(broker.host.url), print, anonymous=False)


async def test_trouble_with_face_is_told_with_its_code(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says which step failed, the error code, and the request id to look for in the logs."""
    broker.simulator.keys = {"another-key"}

    code = await asyncio.to_thread(main, [broker.host.url, "--anonymous"])

    last = capsys.readouterr().out.splitlines()[-1]
    assert code == 1
    assert last.startswith("FAILED  create: 200 was expected, and 502 UpstreamUnauthorized")
    assert "request id" in last


async def test_a_dependency_that_is_down_is_named(broker: Broker) -> None:
    """With a function key, it says which dependency fails."""
    broker.simulator.keys = {"another-key"}

    with pytest.raises(Failed, match="ready: face: UpstreamUnauthorized"):
        await asyncio.to_thread(check_ready, Service(broker.host.url), FUNCTION_KEY, print)


async def test_a_wrong_function_key_is_no_success(broker: Broker) -> None:
    """The platform's empty 401 is a failure too."""
    with pytest.raises(Failed, match="ready: 200 was expected, and 401"):
        await asyncio.to_thread(check_ready, Service(broker.host.url), "wrong", print)


def test_nothing_there_is_waited_for_as_long_as_was_said() -> None:
    """It asks again until the time is over, and then says that nothing answers."""
    now = 0.0
    slept = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(seconds)

    with pytest.raises(Failed, match="nothing answers"):
        wait_for_health(Service("http://127.0.0.1:1"), 12, print, clock=lambda: now, sleep=sleep)
    assert slept == [5, 5, 5]


async def test_the_token_opens_what_is_closed_without(broker: Broker) -> None:
    """Where callers are authenticated, a create without a token is refused, and all calls with it pass."""
    async with guarded(broker) as url:
        await asyncio.to_thread(smoke, Service(url, "a-token"), print, anonymous=False)
        with pytest.raises(Failed, match="create: 200 was expected, and 401"):
            await asyncio.to_thread(smoke, Service(url, "another"), print, anonymous=False)
