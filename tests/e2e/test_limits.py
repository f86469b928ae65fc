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


async def test_observed_flood_of_misses_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Limits are tried out on real traffic, which may be an attack."""
    async with running_broker(THROTTLE_MODE="observe", CLIENT_ADDRESS="appservice") as broker:
        answers = {(await broker.result(UNKNOWN, **HERE)).status_code for _ in range(100)}
        broker.clock.advance_seconds(60)
        await broker.result(UNKNOWN, **HERE)

    lines = logged(caplog, "throttle_would_refuse")
    assert answers == {404}
    assert [line.get("times", 1) for line in lines] == [1] * 5 + [35, 1]
    assert {line["limit"] for line in lines} == {"misses"}
    assert all(line["address"] for line in lines)


async def test_key_that_is_repeated_too_often_is_refused_while_limits_are_observed() -> None:
    """No setting changes what one key may cost."""
    async with running_broker(THROTTLE_MODE="observe") as broker:
        create = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-phone"}
        answers = [
            await broker.http.post("/api/sessions", json=create, headers={"Idempotency-Key": "k" * 16})
            for _ in range(12)
        ]

    assert [answer.status_code for answer in answers] == [200] * 11 + [429]


HERE = {"client-ip": "203.0.113.7"}
UNKNOWN = {"sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e", "authToken": "a-guess"}


async def test_misses_of_an_address_refuse_neither_its_creates_nor_its_reads() -> None:
    """Somebody guesses behind an address that honest phones share."""
    async with running_broker(CLIENT_ADDRESS="appservice") as broker:
        misses = [await broker.result(UNKNOWN, **HERE) for _ in range(61)]
        create = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-neighbour"}
        created = await broker.http.post("/api/sessions", json=create, headers=HERE)
        read = await broker.result(created.json(), **HERE)

    assert [misses[59].status_code, misses[60].status_code] == [404, 429]
    assert (created.status_code, read.status_code) == (200, 200)


async def test_misses_of_a_signed_in_caller_count_for_that_caller() -> None:
    """At each address; others at its address are not found, and not throttled."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="2/10m") as scene:
        mallory, anna = scene.issuer.token(sub="mallory"), scene.issuer.token(sub="anna")
        addresses = [HERE, HERE, {"client-ip": "203.0.113.8"}]
        guesses = [(await scene.of(UNKNOWN, "GET", mallory, **address)).status_code for address in addresses]
        neighbour = await scene.of(UNKNOWN, "GET", anna, **HERE)

    assert guesses == [404, 404, 429]
    assert neighbour.status_code == 404


async def test_expired_bearer_token_is_not_charged() -> None:
    """Its phone has to hear that it needs a new token, whatever others at its address send."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="1/10m") as scene:
        expired = scene.issuer.token()
        scene.broker.clock.advance_seconds(86_400)
        forged = [(await scene.create("a.b.c", **HERE)).status_code for _ in range(2)]
        honest = [(await scene.create(expired, **HERE)).status_code for _ in range(3)]

    assert (forged, honest) == ([401, 429], [401, 401, 401])


async def create_as(broker: Broker, device: str, key: str, lifetime: int = 600) -> httpx.Response:
    body = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": device,
        "authTokenTimeToLiveInSeconds": lifetime,
    }
    headers = HERE | {"Idempotency-Key": f"{key:->16}"}
    return await broker.http.post("/api/sessions", json=body, headers=headers)


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


@pytest.mark.parametrize(("lifetime", "status"), [(600, 200), (61, 422)])
async def test_repeats_of_a_create_are_limited_for_each_key(lifetime: int, status: int) -> None:
    """A phone that repeats a lost create gets its answer. A flood of repeats costs ten calls in ten seconds."""
    store = FakeStore()
    async with running_broker(store=store) as broker:
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


async def test_session_that_nobody_started_is_read_ever_more_slowly() -> None:
    """Who polls all the time costs few calls of Face; the answer says when to ask again."""
    async with running_broker() as broker:
        session = await broker.created()
        waits = []
        for _ in range(200):
            answer = await broker.result(session)
            assert answer.status_code == 200
            waits.append(answer.json()["retryAfterSeconds"])
            broker.clock.advance_seconds(3)

    assert broker.simulator.calls["get"] <= 60
    assert (waits[0], waits[-1]) == (2, pytest.approx(15, abs=15))
    assert max(waits) == 30


async def test_digest_of_a_late_check_is_read_at_once() -> None:
    """The first digest of a session says that its phone made a check, however slowly the session was read before."""
    async with running_broker() as broker:
        session = await broker.created()
        for _ in range(100):
            await broker.result(session)
            broker.clock.advance_seconds(3)
        told = await broker.perform(session)
        answer = await broker.result(session, **{"X-Client-Digest": told["digest"]})

    assert answer.json()["passed"] is True


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


async def test_flood_of_misses_is_a_few_lines_and_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Lines about others go on, and the count of what was left out comes with the first request after the minute."""
    caplog.set_level(logging.INFO)
    async with running_broker(CLIENT_ADDRESS="appservice") as broker:
        session = await broker.created()
        caplog.clear()
        for number in range(100):
            await broker.result(UNKNOWN, **HERE)
            if number == 60:
                await broker.revoke(session)
        broker.clock.advance_seconds(60)
        await broker.result(UNKNOWN, **{"client-ip": "203.0.113.8"})

    lines = logged(caplog, "request_refused")
    assert len(lines) <= 13
    assert sum(int(str(line.get("times", 1))) for line in lines) == 101
    assert len(logged(caplog, "session_revoked")) == 1
    assert len(logged(caplog, "request_ended")) <= 14


async def test_session_that_is_polled_without_end_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The answers come from the record, and no limit refuses them. The requests of others still have their lines."""
    caplog.set_level(logging.INFO)
    async with running_broker(CLIENT_ADDRESS="appservice") as broker:
        session = await broker.created()
        caplog.clear()
        answers = {(await broker.result(session, **HERE)).status_code for _ in range(100)}
        await broker.result(session, **{"client-ip": "203.0.113.8"})
        broker.clock.advance_seconds(60)
        await broker.result(session, **{"client-ip": "203.0.113.8"})

    lines = logged(caplog, "request_ended")
    assert answers == {200}
    assert [line.get("times", 1) for line in lines] == [1] * 6 + [95, 1]


async def test_result_that_face_has_no_room_for_is_what_is_known() -> None:
    """The record is there: a 429 of Face is no error, and says when to ask again."""
    async with running_broker() as broker:
        answer = await broker.result(await broker.created("sim-result-429"))

    assert (answer.status_code, answer.json()["status"]) == (200, "NotStarted")
    assert int(answer.headers["Retry-After"]) >= 1
