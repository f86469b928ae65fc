"""A create that is sent twice, through HTTP."""

import httpx

from tests.support.broker import Broker, running_broker

KEY = "0123456789abcdef"


async def create(broker: Broker, key: str = KEY) -> httpx.Response:
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}
    return await broker.http.post("/api/sessions", json=body, headers={"Idempotency-Key": key})


async def test_same_key_gets_the_same_session(broker: Broker) -> None:
    """A repeat is answered like the first, makes no upstream call and is not charged."""
    first = await create(broker)
    repeats = [await create(broker) for _ in range(10)]

    assert {answer.text for answer in repeats} == {first.text}
    assert {answer.headers["RateLimit"] for answer in repeats} == {first.headers["RateLimit"]}
    assert broker.simulator.calls["create"] == 1
    assert (await create(broker, "another-key-of-16")).headers["RateLimit"].startswith('"device-10m";r=3')


async def test_quoted_key_is_the_same_key(broker: Broker) -> None:
    """The draft writes keys as quoted strings; both forms mean the same."""
    assert (await create(broker, f'"{KEY}"')).text == (await create(broker)).text


async def test_replayed_session_works(broker: Broker) -> None:
    """What a repeat hands out is the session, not a picture of it."""
    await create(broker)
    session = (await create(broker)).json()
    await broker.perform(session)

    assert (await broker.result(session)).json()["passed"] is True


async def test_key_is_free_again_when_its_token_has_expired(broker: Broker) -> None:
    """An answer whose token is dead helps nobody: the same request makes a new session."""
    first = (await create(broker)).json()
    broker.clock.advance_seconds(600)

    second = (await create(broker)).json()

    assert second["sessionId"] != first["sessionId"]


async def test_failed_create_can_be_tried_again_with_its_key(broker: Broker) -> None:
    """A failure is not an answer to be kept."""
    broker.simulator.fail(500, count=1)
    failed = await create(broker)

    again = await create(broker)

    assert (failed.status_code, again.status_code) == (502, 200)


async def test_throttled_create_can_be_tried_again_with_its_key() -> None:
    """A refusal is not an answer to be kept either."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        await create(broker, "the-first-key-of-it")
        refused = await create(broker)
        still_refused = await create(broker)
        broker.clock.advance_seconds(600)

        assert (refused.status_code, still_refused.status_code) == (429, 429)
        assert (await create(broker)).status_code == 200


async def test_answered_device_that_is_throttled_now_gets_its_answer_again() -> None:
    """Whose answer was lost on its way gets it, although nothing new would be admitted."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        first = await create(broker)
        assert (await create(broker, "another-key-of-16")).status_code == 429

        assert (await create(broker)).text == first.text


async def test_other_device_with_the_same_key_is_refused(broker: Broker) -> None:
    """The device is part of the request that a key stands for, wherever it is named."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationIdSetInClient": True}
    answers = [
        await broker.http.post(
            "/api/sessions", json=body, headers={"Idempotency-Key": KEY, "X-Device-Correlation-Id": device}
        )
        for device in ("one", "two")
    ]

    assert [answer.status_code for answer in answers] == [200, 422]
