"""Credentials, and the rate limit of the resource."""

import base64
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulator import FaceSimulator
from local.simulator.admission import TokenBucket
from tests.local.simulator.client import KEY, OLD, ROOTS, START_MS, VERSIONS, FaceClient, code_of, refusal_of
from tests.local.simulator.documented import ERRORS, REQUEST
from tests.support.time import FakeClock

FACE = "https://cognitiveservices.azure.com"


def _bearer(**claims: object) -> dict[str, str]:
    """The header with a token as Entra issues it: good, but for the given claims."""
    good = {"aud": FACE, "exp": START_MS // 1000 + 1, "iss": "https://sts.windows.net/tenant/"}
    payload = base64.urlsafe_b64encode(json.dumps(good | claims).encode()).decode().rstrip("=")
    return {"Authorization": f"Bearer eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"}


@pytest.mark.parametrize("headers", [_bearer(), _bearer(aud=FACE + "/"), _bearer(pad="p"), _bearer(pad="pp")])
async def test_token_of_entra_opens_the_api(face: FaceClient, headers: dict[str, str]) -> None:
    """A token for Face that is not expired works without a key."""
    response = await face.call("POST", ROOTS[OLD], headers=headers, json=REQUEST)
    assert response.status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "headers",
    [
        *({}, {"Ocp-Apim-Subscription-Key": "wrong"}, {"Ocp-Apim-Subscription-Key": ""}),
        *({"Authorization": value} for value in (f"Bearer {KEY}", "Bearer", "Bearer a.b.c", "Bearer a.MQ.c")),
        {"Authorization": _bearer()["Authorization"].replace("Bearer", "Basic")},
        *(_bearer(aud="https://vault.azure.net"), _bearer(aud=[FACE]), _bearer(aud=None)),
        *(_bearer(exp=START_MS / 1000), _bearer(exp="never"), _bearer(exp=None)),
    ],
    ids=str,
)
async def test_credential_that_is_not_valid_is_refused(
    face: FaceClient, simulator: FaceSimulator, version: str, headers: dict[str, str]
) -> None:
    """A 401 comes before the body is read, with the code of its version."""
    response = await face.call("POST", ROOTS[version], headers=headers, content=b"{")
    assert code_of(response) == (401, "Unspecified" if version == OLD else "401")
    assert version != OLD or refusal_of(response) == ERRORS["401"]
    assert simulator.sessions == ()


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
    """A burst of one second's calls is taken, the next gets the documented 429; a bad key costs nothing."""
    for _ in range(5):
        assert (await limited.call("GET", f"{ROOTS[OLD]}/x", headers={})).status_code == 401
    statuses = [(await limited.read("none")).status_code for _ in range(2)]
    refused = await limited.read("none")
    clock.advance_seconds(0.5)
    statuses += [(await limited.read("none")).status_code for _ in range(2)]
    assert statuses == [404, 404, 404, 429]
    body = {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 1 seconds."}}
    assert (refused.status_code, refused.json(), refused.headers.get("retry-after")) == (429, body, None)


async def test_check_of_a_phone_uses_three_calls(limited: FaceClient, clock: FakeClock) -> None:
    """A check counts as start, attempt and end; a second attempt needs no start; both are refused like any call."""
    token = (await limited.create())["authToken"]
    for calls in (3, 2):
        clock.advance_seconds(0.5)
        await limited.perform(token)
        assert (await limited.phone(token)).status_code == 429
        # The bucket held 1.5 calls before the first check and 1.5 before the second.
        clock.advance_seconds(calls / 2 - 0.501)
        assert (await limited.read("none")).status_code == 429
        clock.advance_seconds(0.001)
        assert (await limited.read("none")).status_code == 404
        clock.advance_seconds(0.5)


@given(
    rate=st.sampled_from([0.5, 1, 2, 10]),
    steps=st.lists(st.integers(min_value=0, max_value=3000), min_size=1, max_size=60),
)
def test_bucket_admits_no_more_than_burst_and_rate(rate: float, steps: list[int]) -> None:
    """From any admitted call on, no more than burst and rate are admitted; a wait is as long as it has to be."""
    clock = FakeClock()
    bucket = TokenBucket(rate, clock)
    admitted: list[int] = []
    for step in steps:
        clock.advance_ms(step)
        if wait_s := bucket.take(1):
            clock.advance_ms(int(wait_s * 1000) - 1)
            assert bucket.take(1) > 0
            clock.advance_ms(3)
            assert bucket.take(1) == 0
        admitted.append(clock.now)
    for first, since_ms in enumerate(admitted):
        for count, at_ms in enumerate(admitted[first:], start=1):
            assert count <= max(rate, 1) + (at_ms - since_ms) / 1000 * rate + 1e-6
