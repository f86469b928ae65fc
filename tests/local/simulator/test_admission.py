"""The rate limit of the resource."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulator import FaceSimulator
from local.simulator.admission import TokenBucket
from tests.local.simulator.client import KEY, NEW, ROOTS, FaceClient
from tests.support.time import FakeClock


@pytest.fixture
async def limited(clock: FakeClock) -> AsyncIterator[FaceClient]:
    """A client of a resource that takes two calls a second."""
    simulator = FaceSimulator(key=KEY, clock=clock, tps=2)
    await simulator.start()
    async with FaceClient(simulator.url) as face:
        yield face
    await simulator.stop()


async def test_call_above_the_rate_is_refused_until_there_is_room(
    limited: FaceClient, clock: FakeClock
) -> None:
    """A burst of one second's calls is taken, the next gets the documented 429 without a header."""
    statuses = [(await limited.get("none")).status_code for _ in range(2)]
    refused = await limited.get("none")
    clock.advance_seconds(0.5)
    statuses += [(await limited.get("none")).status_code for _ in range(2)]
    assert statuses == [404, 404, 404, 429]
    body = {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds."}}
    assert (refused.status_code, refused.json()) == (429, body)
    assert "retry-after" not in refused.headers


async def test_call_with_a_bad_key_costs_nothing(limited: FaceClient) -> None:
    """A call that is not admitted does not use the limit up."""
    for _ in range(5):
        assert (await limited.call("GET", f"{ROOTS[NEW]}/x", key="bad")).status_code == 401
    assert (await limited.get("none")).status_code == 404


async def test_check_of_a_phone_uses_three_calls(limited: FaceClient, clock: FakeClock) -> None:
    """A check counts as start, attempt and end; a second attempt needs no start; both are refused like any call."""
    token = (await limited.create())["authToken"]
    for calls in (3, 2):
        clock.advance_seconds(0.5)
        await limited.perform(token)
        refused = await limited.phone(token)
        message = "Rate limit is exceeded. Try again in 1 seconds."
        assert (refused.status_code, refused.json()["error"]["message"]) == (429, message)
        # The bucket held 1.5 calls before the first check and 1.5 before the second.
        clock.advance_seconds(calls / 2 - 0.501)
        assert (await limited.get("none")).status_code == 429
        clock.advance_seconds(0.001)
        assert (await limited.get("none")).status_code == 404
        clock.advance_seconds(0.5)


@given(
    rate=st.sampled_from([0.5, 1, 2, 10]),
    steps=st.lists(st.integers(min_value=0, max_value=3000), min_size=1, max_size=60),
)
def test_bucket_admits_no_more_than_burst_and_rate(rate: float, steps: list[int]) -> None:
    """From any admitted call on, no more than burst and rate are admitted; a wait that was answered suffices."""
    clock = FakeClock()
    bucket = TokenBucket(rate, clock)
    admitted: list[int] = []
    for step in steps:
        clock.advance_ms(step)
        if wait_s := bucket.take():
            clock.advance_seconds(wait_s + 0.001)
            assert bucket.take() == 0
        admitted.append(clock.now)
    for first, since_ms in enumerate(admitted):
        for count, at_ms in enumerate(admitted[first:], start=1):
            assert count <= max(rate, 1) + (at_ms - since_ms) / 1000 * rate + 1e-6
