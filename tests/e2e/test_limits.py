"""Limits as phones meet them, over HTTP."""

import json
import logging

import httpx
import pytest

from shared.storage.port import Table
from tests.e2e.signed_in import signed_in
from tests.support.broker import Broker, running_broker
from tests.support.store import FakeStore


async def test_observed_limits_refuse_nobody_and_say_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The count goes on as if the refused requests had been refused."""
    async with running_broker(THROTTLE_DEVICE="2/10m", THROTTLE_MODE="observe") as broker:
        answers = [await broker.create() for _ in range(4)]
        broker.clock.advance_seconds(600)
        caplog.clear()
        answers.append(await broker.create())

    assert [answer.status_code for answer in answers] == [200] * 5
    assert "throttle_would_refuse" not in caplog.text


async def test_observed_refusal_names_its_limit_and_who_sent_it(caplog: pytest.LogCaptureFixture) -> None:
    async with signed_in(
        THROTTLE_DEVICE="1/10m", THROTTLE_MODE="observe", CLIENT_ADDRESS="appservice"
    ) as scene:
        anna = scene.issuer.token(sub="anna")
        with caplog.at_level(logging.INFO):
            for _ in range(2):
                await scene.created(anna, **HERE)

    [created, _] = logged(caplog, "session_created")
    sender = {name: created[name] for name in ("device", "caller", "address")}
    assert logged(caplog, "throttle_would_refuse") == [
        {"event": "throttle_would_refuse", "limit": "device", **sender}
    ]


HERE, ELSEWHERE = {"client-ip": "203.0.113.7"}, {"client-ip": "203.0.113.8"}
UNKNOWN = {"sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e", "authToken": "a-guess"}


async def test_misses_of_an_address_refuse_neither_its_creates_nor_its_reads() -> None:
    """Somebody guesses behind an address that honest phones share."""
    async with running_broker(CLIENT_ADDRESS="appservice") as broker:
        misses = [await broker.result(UNKNOWN, **HERE) for _ in range(61)]
        created = await broker.create("a-neighbour", HERE)
        read = await broker.result(created.json(), **HERE)

    assert [misses[59].status_code, misses[60].status_code] == [404, 429]
    assert (created.status_code, read.status_code) == (200, 200)


async def test_misses_of_a_signed_in_caller_count_for_that_caller() -> None:
    """At each address; others at its address are not found, and not throttled."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="2/10m") as scene:
        mallory, anna = scene.issuer.token(sub="mallory"), scene.issuer.token(sub="anna")
        addresses = [HERE, HERE, ELSEWHERE]
        guesses = [(await scene.of(UNKNOWN, "GET", mallory, **address)).status_code for address in addresses]
        neighbour = await scene.of(UNKNOWN, "GET", anna, **HERE)

    assert guesses == [404, 404, 429]
    assert neighbour.status_code == 404


async def create_as(broker: Broker, device: str, key: str, lifetime: int = 600) -> httpx.Response:
    headers = HERE | {"Idempotency-Key": f"{key:->16}"}
    return await broker.create(device, headers, authTokenTimeToLiveInSeconds=lifetime)


async def test_refused_creates_with_new_keys_and_devices_hardly_read() -> None:
    """One address costs a read of a stored answer a second, however many devices it makes up."""
    store = FakeStore()
    async with running_broker(store=store, CLIENT_ADDRESS="appservice", THROTTLE_CLIENT="1/10m") as broker:
        first = await create_as(broker, "phone", "first")
        flood = [await create_as(broker, f"phone-{number}", f"key-{number}") for number in range(50)]
        reads = store.count("get", table=Table.IDEMPOTENCY)
        broker.clock.advance_seconds(1)
        repeat = await create_as(broker, "phone", "first")

    assert {answer.status_code for answer in flood} == {429}
    assert reads <= 2
    assert repeat.text == first.text


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize(("lifetime", "status"), [(600, 200), (61, 422)])
async def test_repeats_of_a_create_are_limited_for_each_key(lifetime: int, status: int, mode: str) -> None:
    """A phone that repeats a lost create gets its answer. A flood of repeats costs ten calls, whatever is set."""
    store = FakeStore()
    async with running_broker(store=store, THROTTLE_MODE=mode) as broker:
        await create_as(broker, "phone", "first")
        answers = [await create_as(broker, "phone", "first", lifetime) for _ in range(10)]
        calls = store.count()
        refused = [await create_as(broker, "phone", "first", lifetime) for _ in range(50)]
        assert store.count() == calls
        other = await create_as(broker, "phone", "other")
        broker.clock.advance_seconds(10)
        later = await create_as(broker, "phone", "first", lifetime)

    assert {answer.status_code for answer in (*answers, later)} == {status}
    assert {answer.status_code for answer in refused} == {429}
    assert refused[0].json()["error"]["code"] == "ClientThrottled"
    assert refused[0].headers["Retry-After"] == "10"
    assert other.status_code == 200


async def test_session_that_nobody_started_is_read_ever_more_slowly(broker: Broker) -> None:
    """Who polls all the time costs few calls of Face; the answer says when to ask again.

    The first digest says that the phone made a check: it is read at once.
    """
    session = await broker.created()
    waits = []
    for _ in range(200):
        answer = await broker.result(session)
        assert answer.status_code == 200
        waits.append(answer.json()["retryAfterSeconds"])
        broker.clock.advance_seconds(2)
    calls = broker.simulator.calls["get"]
    told = await broker.perform(session)
    checked = await broker.result(session, **{"X-Client-Digest": told["digest"]})

    assert calls <= 45
    assert (waits[0], max(waits), waits[-1]) == (2, 30, pytest.approx(15, abs=15))
    assert checked.json()["passed"] is True


def logged(caplog: pytest.LogCaptureFixture, *names: str) -> list[dict[str, object]]:
    """The events with these names, in their order."""
    lines = [record.getMessage() for record in caplog.records]
    return [
        json.loads(line) for line in lines if line.startswith(tuple(f'{{"event": "{name}"' for name in names))
    ]


async def test_log_says_who_was_refused_and_whose_sessions_came_and_went(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By pseudonyms: the same device, caller and address in each line, and in the keys of their limits."""
    caplog.set_level(logging.INFO)
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_DEVICE="2/10m") as scene:
        anna = scene.issuer.token(sub="anna")
        session, other = [await scene.created(anna, **HERE) for _ in range(2)]
        refused = await scene.create(anna, **HERE)
        missed = await scene.of(UNKNOWN, "GET", anna, **HERE)
        forged = await scene.create("a.b.c", **HERE)
        await scene.broker.perform(session)
        await scene.of(session, "GET", anna, **HERE)
        await scene.of(other, "DELETE", anna, **HERE)
        stored = await scene.broker.app.sessions.reload(session["sessionId"])
        pseudonyms = scene.broker.app.pseudonyms
        address = await pseudonyms.of("client", HERE["client-ip"])

    who = {"device": stored.record.device, "caller": stored.record.caller, "address": address}
    assert [answer.status_code for answer in (refused, missed, forged)] == [429, 404, 401]
    names = ("session_created", "request_refused", "session_ended", "session_revoked")
    events = logged(caplog, *names)
    assert [(event["event"], event.get("code")) for event in events] == [
        ("session_created", None),
        ("session_created", None),
        ("request_refused", "DeviceThrottled"),
        ("request_refused", "SessionNotFound"),
        ("request_refused", "Unauthorized"),
        ("session_ended", None),
        ("session_revoked", None),
    ]
    assert all(event["requestId"] for event in events)
    known = [{name: event[name] for name in who if name in event} for event in events]
    no_device, address_alone = {**who}, {"address": address}
    del no_device["device"]
    from_face = {"device": who["device"], "caller": who["caller"]}
    assert known == [who, who, who, no_device, address_alone, from_face, who]


@pytest.mark.parametrize(
    ("mode", "is_known", "event", "times"),
    [
        ("enforce", False, "request_refused", [1] * 11 + [55, 35, 1]),
        ("observe", False, "throttle_would_refuse", [1] * 5 + [35, 1]),
        # The answers come from the record, and no limit refuses them.
        ("enforce", True, "request_ended", [1] * 7 + [95, 1]),
    ],
    ids=["misses", "misses that are observed", "polls"],
)
async def test_flood_is_a_few_lines_and_hides_nothing(
    mode: str, is_known: bool, event: str, times: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Lines about others go on, and the count of what was left out comes with the first request after the minute."""
    caplog.set_level(logging.INFO)
    async with running_broker(CLIENT_ADDRESS="appservice", THROTTLE_MODE=mode) as broker:
        session, other = [await broker.created() for _ in range(2)]
        asked = session if is_known else UNKNOWN
        caplog.clear()
        statuses = {(await broker.result(asked, **HERE)).status_code for _ in range(100)}
        await broker.result(asked, **ELSEWHERE)
        await broker.revoke(other)
        broker.clock.advance_seconds(60)
        await broker.result(asked, **HERE)

    lines = logged(caplog, event)
    assert (429 in statuses) == (event == "request_refused")
    assert [line.get("times", 1) for line in lines] == times
    assert all(line["address"] for line in logged(caplog, "request_refused", "throttle_would_refuse"))
    assert len(logged(caplog, "session_revoked")) == 1
    assert len(logged(caplog, "request_ended")) <= 15
