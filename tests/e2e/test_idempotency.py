"""A create that is sent twice, through HTTP."""

import httpx

from tests.support.broker import Broker, running_broker

KEY, ANOTHER = "0123456789abcdef", "another-key-of-16"


async def create(broker: Broker, key: str = KEY, **fields: object) -> httpx.Response:
    return await broker.create("a-device", {"Idempotency-Key": key}, **fields)


async def test_same_key_gets_the_same_session(broker: Broker) -> None:
    """A repeat, quoted or bare, is answered like the first, makes no upstream call and is not charged.

    A key stands for the values that are asked for, not for the text of the body.
    """
    first = await create(broker)
    repeats = [await create(broker, key) for key in (KEY, f'"{KEY}"') * 4]
    repeats.append(await create(broker, authTokenTimeToLiveInSeconds=600, clientReference=None))

    assert {answer.text for answer in repeats} == {first.text}
    assert {answer.headers["RateLimit"] for answer in repeats} == {first.headers["RateLimit"]}
    assert broker.simulator.calls["create"] == 1
    assert (await create(broker, ANOTHER)).headers["RateLimit"].startswith('"device-10m";r=3')


async def test_only_a_session_is_an_answer_to_be_kept() -> None:
    """A create that Face or the limiter refused can be tried again with its key. A session is given again."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        broker.simulator.fail(500, count=1)
        failed, first = await create(broker), await create(broker)
        assert (failed.status_code, first.status_code) == (502, 200)

        refused, again = await create(broker, ANOTHER), await create(broker)
        assert (refused.status_code, again.text) == (429, first.text)
        broker.clock.advance_seconds(600)
        assert (await create(broker, ANOTHER)).status_code == 200


async def test_other_device_with_the_same_key_is_refused(broker: Broker) -> None:
    """The device is part of the request that a key stands for, wherever it is named."""
    in_header = {"deviceCorrelationId": None, "deviceCorrelationIdSetInClient": True}
    answers = [
        await broker.create("", {"Idempotency-Key": KEY, "X-Device-Correlation-Id": name}, **in_header)
        for name in ("one", "two")
    ]

    assert [answer.status_code for answer in answers] == [200, 422]
