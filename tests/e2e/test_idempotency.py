"""A create that is sent twice, through HTTP."""

import httpx

from tests.support.broker import Broker, running_broker

KEY = "0123456789abcdef"


async def create(
    broker: Broker, key: str = KEY, own_name: str | None = None, **fields: object
) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"X-Device-Correlation-Id": own_name} if own_name else {})
    device = {"deviceCorrelationIdSetInClient": True} if own_name else {"deviceCorrelationId": "a-device"}
    body = {"livenessOperationMode": "Passive"} | device | fields
    return await broker.http.post("/api/sessions", json=body, headers=headers)


async def test_same_key_gets_the_same_session(broker: Broker) -> None:
    """A repeat, quoted or bare, is answered like the first, makes no upstream call and is not charged."""
    first = await create(broker)
    repeats = [await create(broker, key) for key in (KEY, f'"{KEY}"') * 5]

    assert {answer.text for answer in repeats} == {first.text}
    assert {answer.headers["RateLimit"] for answer in repeats} == {first.headers["RateLimit"]}
    assert broker.simulator.calls["create"] == 1
    assert (await create(broker, "another-key-of-16")).headers["RateLimit"].startswith('"device-10m";r=3')


async def test_failed_create_can_be_tried_again_with_its_key() -> None:
    """Neither a failure of Face nor a refusal of the limiter is an answer to be kept."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        broker.simulator.fail(500, count=1)
        failed = await create(broker)
        assert (failed.status_code, (await create(broker)).status_code) == (502, 200)

        refused = await create(broker, "another-key-of-16")
        broker.clock.advance_seconds(600)
        assert (refused.status_code, (await create(broker, "another-key-of-16")).status_code) == (429, 200)


async def test_answered_device_that_is_throttled_now_gets_its_answer_again() -> None:
    """An answer that was lost on its way is given again, although nothing new would be admitted."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        first = await create(broker)
        assert (await create(broker, "another-key-of-16")).status_code == 429

        assert (await create(broker)).text == first.text


async def test_defaults_and_nulls_make_the_same_request(broker: Broker) -> None:
    """A key stands for the values that are asked for, not for the text of the body."""
    first = await create(broker)

    assert (await create(broker, authTokenTimeToLiveInSeconds=600, clientReference=None)).text == first.text


async def test_other_device_with_the_same_key_is_refused(broker: Broker) -> None:
    """The device is part of the request that a key stands for, wherever it is named."""
    answers = [await create(broker, own_name=device) for device in ("one", "two")]

    assert [answer.status_code for answer in answers] == [200, 422]
