"""Each row of the contract's error table, provoked through HTTP."""

import ast
import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from shared.errors import StorageUnavailable
from shared.face.retries import Patience
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from shared.web.catalogue import CATALOGUE
from tests.support.broker import FACE_KEY, Broker, running_broker

UNKNOWN_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"
GOOD = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}


def assert_error(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is an error of the contract: shape, code twice, and the header fields that all answers have."""
    assert (answer.status_code, answer.headers.get("x-ms-error-code")) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["requestId"] == answer.headers["x-ms-request-id"]
    return error


async def post(broker: Broker, content: bytes, **headers: str) -> httpx.Response:
    return await broker.http.post(
        "/api/sessions", content=content, headers={"Content-Type": "application/json"} | headers
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="half"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="text"),
        pytest.param(json.dumps(GOOD | {"enrollmentId": 1}).encode(), id="unknown field"),
        pytest.param(json.dumps(GOOD | {"livenessDecision": "realface"}).encode(), id="forged decision"),
        pytest.param(
            json.dumps(GOOD | {"authTokenTimeToLiveInSeconds": "600"}).encode(), id="text for a number"
        ),
        pytest.param(
            json.dumps(GOOD | {"authTokenTimeToLiveInSeconds": True}).encode(), id="bool for a number"
        ),
        pytest.param(json.dumps(GOOD | {"authTokenTimeToLiveInSeconds": 600.0}).encode(), id="float"),
        pytest.param(
            json.dumps(GOOD | {"authTokenTimeToLiveInSeconds": None}).encode(), id="null for a number"
        ),
        pytest.param(json.dumps(GOOD | {"sendResultsToClient": 1}).encode(), id="number for a bool"),
        pytest.param(json.dumps(GOOD | {"livenessOperationMode": 1}).encode(), id="number for a mode"),
        pytest.param(json.dumps(GOOD | {"deviceCorrelationId": 7}).encode(), id="number for an id"),
        pytest.param(json.dumps(GOOD | {"deviceCorrelationIdSetInClient": True}).encode(), id="both ids"),
        pytest.param(json.dumps(GOOD | {"clientReference": "a b"}).encode(), id="reference with a blank"),
        pytest.param(json.dumps(GOOD | {"clientReference": "x\n"}).encode(), id="reference with a newline"),
        pytest.param(json.dumps(GOOD | {"clientReference": "x" * 129}).encode(), id="long reference"),
        pytest.param(
            b'{"livenessOperationMode":"Passive","livenessOperationMode":"Passive"}', id="duplicate"
        ),
        pytest.param(b'{"authTokenTimeToLiveInSeconds":NaN}', id="NaN"),
        pytest.param(b'{"authTokenTimeToLiveInSeconds":1e999}', id="infinite"),
        pytest.param(b"[" * 4096, id="deep"),
        pytest.param(b'{"a":' * 600 + b"1" + b"}" * 600, id="deep objects"),
        pytest.param(b'{"deviceCorrelationId":"\xff"}', id="bad UTF-8"),
        pytest.param(json.dumps(GOOD).encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), id="BOM"),
        pytest.param(json.dumps(GOOD | {"deviceCorrelationId": "\ud800"}).encode(), id="lone surrogate"),
    ],
)
async def test_body_that_is_not_the_contracts_is_refused(broker: Broker, content: bytes) -> None:
    """Whatever is not exactly the contract's JSON object is a 400 in the upstream's words, and costs no call."""
    error = assert_error(await post(broker, content), 400, "InvalidRequestBody")

    assert error["message"] == (
        "Incorrect request body provided. Please check the operation schema and try again."
    )
    assert broker.simulator.calls.get("create", 0) == 0


@pytest.mark.parametrize("seconds", [59, 86_401, -1, 0])
async def test_token_lifetime_out_of_bounds_is_refused(broker: Broker, seconds: int) -> None:
    """A lifetime outside of 60 to 86400 s is refused in the upstream's words."""
    answer = await broker.create(authTokenTimeToLiveInSeconds=seconds)

    error = assert_error(answer, 400, "InvalidTokenLifetime")
    assert error["message"] == "Invalid authTokenTimeToLiveInSeconds specified. Must be within 60 to 86400."


@pytest.mark.parametrize("seconds", [60, 86_400])
async def test_token_lifetime_at_its_bounds_is_taken(broker: Broker, seconds: int) -> None:
    """Both ends of the range are good."""
    assert (await broker.create(authTokenTimeToLiveInSeconds=seconds)).status_code == 200


async def test_operator_lowers_the_ceiling_longer_lifetime_is_refused() -> None:
    """The message names the ceiling that holds here."""
    async with running_broker(AUTH_TOKEN_TTL_MAX_SECONDS="900") as broker:
        answer = await broker.create(authTokenTimeToLiveInSeconds=901)

        assert "60 to 900." in assert_error(answer, 400, "InvalidTokenLifetime")["message"]


@pytest.mark.parametrize("mode", ["passive", "PassiveActive", "", "Active"])
async def test_mode_that_the_version_lacks_is_refused(broker: Broker, mode: str) -> None:
    """v1.1-preview.1 has `Passive` alone, spelled like that."""
    error = assert_error(await broker.create(livenessOperationMode=mode), 400, "InvalidLivenessOperationMode")
    assert error["message"] == "Invalid livenessOperationMode specified. Must be 'Passive'."


async def test_missing_mode_is_refused(broker: Broker) -> None:
    """The mode is required."""
    assert_error(await post(broker, b'{"deviceCorrelationId":"x"}'), 400, "InvalidLivenessOperationMode")


@pytest.mark.parametrize(
    "device_id",
    [pytest.param("", id="empty"), pytest.param("x" * 65, id="long"), pytest.param(None, id="null")],
)
async def test_bad_device_id_is_refused(broker: Broker, device_id: str | None) -> None:
    """A device id is 1 to 64 characters; the refusal is in the upstream's words."""
    error = assert_error(
        await broker.create(deviceCorrelationId=device_id), 400, "InvalidDeviceCorrelationId"
    )
    assert error["message"] == (
        "A device correlation id is required in the request body during session create or session start. "
        "Must not be null or empty, and be no more than 64 characters."
    )


@pytest.mark.parametrize("headers", [{}, {"X-Device-Correlation-Id": "x" * 65}], ids=["absent", "long"])
async def test_device_that_should_name_itself_and_does_not_is_refused(
    broker: Broker, headers: dict[str, str]
) -> None:
    """With deviceCorrelationIdSetInClient the header is needed, under the same rule."""
    body = {"livenessOperationMode": "Passive", "deviceCorrelationIdSetInClient": True}
    answer = await broker.http.post("/api/sessions", json=body, headers=headers)

    assert_error(answer, 400, "InvalidDeviceCorrelationId")


async def test_results_for_the_phone_where_the_version_has_none_are_refused() -> None:
    """`sendResultsToClient` was removed in v1.2: asking for it is an error, saying false is none."""
    async with running_broker(FACE_API_VERSION="v1.2") as broker:
        assert_error(await broker.create(sendResultsToClient=True), 400, "InvalidRequestBody")
        assert (await broker.create(sendResultsToClient=False)).status_code == 200


async def test_results_for_the_phone_where_the_operator_hides_them_are_refused() -> None:
    """With RESULT_VISIBILITY=status the phone cannot get the decision from Face either."""
    async with running_broker(RESULT_VISIBILITY="status") as broker:
        assert_error(await broker.create(sendResultsToClient=True), 400, "InvalidRequestBody")


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 129, "sixteen characters", '"unbalanced-quotes', "a,b" * 8]
)
async def test_bad_idempotency_key_is_refused(broker: Broker, key: str) -> None:
    """The key is 16 to 128 of A-Za-z0-9_-, bare or quoted."""
    answer = await post(broker, json.dumps(GOOD).encode(), **{"Idempotency-Key": key})

    assert_error(answer, 400, "InvalidIdempotencyKey")


@pytest.mark.parametrize(
    "session_id",
    [
        pytest.param(UNKNOWN_ID, id="unknown"),
        pytest.param(UNKNOWN_ID.upper(), id="upper case"),
        pytest.param("not-a-guid", id="not a GUID"),
        pytest.param("%2e%2e%2f%2e%2e", id="encoded dots"),
        pytest.param("..%2Fsessions", id="traversal"),
        pytest.param("a%00b"[:1] + "%3f", id="question mark"),
        pytest.param("{" + UNKNOWN_ID + "}", id="braces"),
        pytest.param("%EF%BC%91" * 8, id="full-width digits"),
        pytest.param("x" * 3000, id="long"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_session_that_is_not_there_is_not_found(broker: Broker, method: str, session_id: str) -> None:
    """An id that is no session's, or no id at all, is the same 404, and Face is not asked."""
    answer = await broker.http.request(
        method, f"/api/sessions/{session_id}", headers={"X-Session-Token": "some-token"}
    )

    error = assert_error(answer, 404, "SessionNotFound")
    assert error["message"] == "Session Id is not found. The session id is expired or does not exist."
    assert broker.simulator.calls.get("get", 0) + broker.simulator.calls.get("delete", 0) == 0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no token"),
        pytest.param({"X-Session-Token": "wrong"}, id="wrong token"),
        pytest.param({"X-Session-Token": ""}, id="empty token"),
        pytest.param({"Authorization": "Bearer wrong"}, id="other header"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_wrong_token_is_answered_like_an_unknown_session(
    broker: Broker, method: str, headers: dict[str, str]
) -> None:
    """Whether a session exists is told to nobody but its holder: the answers differ in the request id alone."""
    session = await broker.created()
    unknown = await broker.http.request(method, f"/api/sessions/{UNKNOWN_ID}", headers=headers)
    foreign = await broker.http.request(method, f"/api/sessions/{session['sessionId']}", headers=headers)

    def comparable(answer: httpx.Response) -> tuple[int, str, list[str]]:
        names = sorted(answer.headers.keys())
        return answer.status_code, re.sub('"requestId":"[^"]*"', "", answer.text), names

    assert comparable(foreign) == comparable(unknown)
    assert_error(foreign, 404, "SessionNotFound")


async def test_token_of_another_session_does_not_open_this_one(broker: Broker) -> None:
    """Two phones cannot read each other's results."""
    mine, other = await broker.created("mine"), await broker.created("other")

    answer = await broker.result(mine | {"authToken": other["authToken"]})

    assert_error(answer, 404, "SessionNotFound")


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/sessions/a/b", "/api/", "/api/session", "/api//health", "/api//sessions"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
async def test_path_that_does_not_exist_is_not_found(broker: Broker, method: str, path: str) -> None:
    """A path without a function is a 404 in the contract's shape, whatever the method."""
    assert_error(await broker.http.request(method, path), 404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/sessions", "POST"),
        ("OPTIONS", "/api/sessions/", "POST"),
        ("PUT", f"/api/sessions/{UNKNOWN_ID}", "DELETE, GET"),
        ("POST", "/api/Health", "GET"),
        ("BREW", "/api/ready", "GET"),
    ],
)
async def test_method_that_the_path_lacks_is_told_the_others(
    broker: Broker, method: str, path: str, allowed: str
) -> None:
    """A known path with another method is a 405 that names what it takes."""
    answer = await broker.http.request(method, path)

    assert_error(answer, 405, "MethodNotAllowed")
    assert answer.headers["Allow"] == allowed


async def test_chunked_body_is_refused(broker: Broker) -> None:
    """The platform hands a chunked body over as an empty one: the phone is told to send it whole."""

    async def chunks() -> AsyncIterator[bytes]:
        yield json.dumps(GOOD).encode()

    answer = await broker.http.post(
        "/api/sessions", content=chunks(), headers={"Content-Type": "application/json"}
    )

    assert_error(answer, 411, "LengthRequired")


async def test_body_over_four_kibibytes_is_refused(broker: Broker) -> None:
    """4096 bytes are read, one more is too much."""
    body = json.dumps(GOOD).encode()

    assert_error(await post(broker, body.ljust(4097)), 413, "RequestTooLarge")
    assert (await post(broker, body.ljust(4096))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=["text", "none", "utf-16", "jsonp", "gzip"],
)
async def test_other_media_type_is_refused(broker: Broker, headers: dict[str, str]) -> None:
    """Only plain JSON is read; the refusal is in the upstream's words."""
    answer = await broker.http.post("/api/sessions", content=json.dumps(GOOD).encode(), headers=headers)

    assert assert_error(answer, 415, "BadArgument")["message"] == "Invalid Media Type."


@pytest.mark.parametrize(
    "media_type", ["application/json;charset=UTF-8", 'APPLICATION/JSON ; charset="utf-8"']
)
async def test_json_with_its_charset_named_is_taken(broker: Broker, media_type: str) -> None:
    """Naming the charset that JSON has anyway is fine."""
    answer = await post(broker, json.dumps(GOOD).encode(), **{"Content-Type": media_type})

    assert answer.status_code == 200


async def test_first_create_still_running_second_is_told_to_wait() -> None:
    """A repeat with the same key while the first runs is a 409 with Retry-After, and makes no second session."""
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_: float) -> None:
        arrived.set()
        await released.wait()

    headers = {"Idempotency-Key": "k" * 16}
    body = json.dumps(GOOD | {"deviceCorrelationId": "sim-create-slow"}).encode()
    async with running_broker(simulator_sleep=hold) as broker:
        first = asyncio.create_task(post(broker, body, **headers))
        await arrived.wait()

        second = await post(broker, body, **headers)

        assert_error(second, 409, "IdempotencyInProgress")
        assert int(second.headers["Retry-After"]) >= 1
        released.set()
        assert (await first).status_code == 200
        assert broker.simulator.calls["create"] == 1


async def test_idempotency_key_with_another_body_is_refused(broker: Broker) -> None:
    """One key stands for one request."""
    headers = {"Idempotency-Key": "k" * 16}
    await post(broker, json.dumps(GOOD).encode(), **headers)

    other = await post(broker, json.dumps(GOOD | {"deviceCorrelationId": "another"}).encode(), **headers)

    assert_error(other, 422, "IdempotencyKeyReused")


async def test_sixth_create_in_ten_minutes_is_throttled(broker: Broker) -> None:
    """The sixth is refused with an honest Retry-After, in the upstream's words, and makes no upstream call."""
    for _ in range(5):
        await broker.created()
        broker.clock.advance_seconds(60)

    refused = await broker.create()

    error = assert_error(refused, 429, "DeviceThrottled")
    wait = int(refused.headers["Retry-After"])
    # The first of the five leaves the window after ten minutes: five of them are over.
    assert 300 <= wait <= 306
    assert error["message"] == f"Rate limit is exceeded. Try again in {wait} seconds."
    assert error["retryAfterSeconds"] == wait
    assert refused.headers["RateLimit-Policy"] == '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'
    assert refused.headers["RateLimit"] == '"device-10m";r=0;t=300'
    assert broker.simulator.calls["create"] == 5


async def test_throttled_device_is_admitted_when_it_was_told(broker: Broker) -> None:
    """One moment before Retry-After ends without its jitter it is refused, then admitted."""
    for _ in range(5):
        await broker.created()
    broker.clock.advance_seconds(599.999)
    assert_error(await broker.create(), 429, "DeviceThrottled")

    broker.clock.advance_seconds(0.001)

    assert (await broker.create()).status_code == 200


async def test_address_that_asks_too_much_is_throttled() -> None:
    """Many devices behind one address share its limit; what is left of it is told to nobody."""
    async with running_broker(CLIENT_ADDRESS="appservice", THROTTLE_CLIENT="2/10m") as broker:
        headers = {"client-ip": "203.0.113.7:50123"}
        answers = [
            await broker.http.post(
                "/api/sessions", json=GOOD | {"deviceCorrelationId": f"device-{number}"}, headers=headers
            )
            for number in range(3)
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        error = assert_error(answers[2], 429, "ClientThrottled")
        assert error["retryAfterSeconds"] == int(answers[2].headers["Retry-After"])
        assert "RateLimit" not in answers[2].headers
        assert "RateLimit-Policy" in answers[2].headers


async def test_address_that_guesses_tokens_is_throttled() -> None:
    """Misses count against the address that makes them, and not the reads of who holds the token."""
    async with running_broker(CLIENT_ADDRESS="appservice", THROTTLE_CLIENT="3/10m") as broker:
        from_here = {"client-ip": "[2001:db8::1]:443"}
        session = await broker.created()
        wrong = session | {"authToken": "guess"}

        answers = [await broker.result(wrong, **from_here) for _ in range(3)]
        refused = await broker.result(wrong, **{"client-ip": "2001:db8::ffff"})
        honest = await broker.result(session, **from_here)

        assert [answer.status_code for answer in answers] == [404, 404, 404]
        assert_error(refused, 429, "ClientThrottled")
        assert honest.status_code == 200


@pytest.mark.parametrize(
    ("device_id", "status", "code", "wait"),
    [
        ("sim-create-500", 502, "UpstreamFailure", None),
        ("sim-create-502", 502, "UpstreamFailure", None),
        ("sim-create-lost", 502, "UpstreamFailure", None),
        ("sim-create-401", 502, "UpstreamUnauthorized", None),
        ("sim-create-403", 502, "UpstreamUnauthorized", None),
        ("sim-create-429", 503, "UpstreamThrottled", 26),
        ("sim-create-503", 503, "UpstreamThrottled", 1),
        ("sim-create-quota", 503, "UpstreamQuotaExceeded", 3600),
    ],
)
async def test_upstream_trouble_on_create_is_not_the_phones_fault(
    broker: Broker, device_id: str, status: int, code: str, wait: int | None
) -> None:
    """What Face refuses or breaks is a 502 or 503 here, with Retry-After where waiting helps."""
    answer = await broker.create(device_id)

    assert_error(answer, status, code)
    if wait is not None:
        assert int(answer.headers["Retry-After"]) >= wait


@pytest.mark.parametrize(
    ("device_id", "status", "code"),
    [
        ("sim-result-500", 502, "UpstreamFailure"),
        ("sim-result-no-route", 502, "UpstreamFailure"),
        ("sim-result-401", 502, "UpstreamUnauthorized"),
        ("sim-result-429", 503, "UpstreamThrottled"),
        ("sim-result-quota", 503, "UpstreamQuotaExceeded"),
    ],
)
async def test_upstream_trouble_on_a_result_is_not_the_phones_fault(
    broker: Broker, device_id: str, status: int, code: str
) -> None:
    """The session is still there: the phone may ask again."""
    session = await broker.created(device_id)

    assert_error(await broker.result(session), status, code)


async def test_session_that_face_does_not_know_too_early_is_not_over(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """Another resource than the one that made it says so: the operator is told, and nothing is lost."""
    session = await broker.created()
    path = f"/face/v1.1-preview.1/detectLiveness/singleModal/sessions/{session['sessionId']}"
    await broker.phone.delete(path, headers={"Ocp-Apim-Subscription-Key": FACE_KEY})

    with caplog.at_level(logging.WARNING):
        assert_error(await broker.result(session), 502, "UpstreamFailure")
    broker.clock.advance_seconds(600 + 121)
    after = await broker.result(session)

    assert broker.simulator.sessions[0].deleted
    assert "is this the resource that made it?" in caplog.text
    assert after.json()["status"] == "Expired"


async def test_upstream_that_cannot_be_reached_is_a_failure(broker: Broker) -> None:
    """A refused connection is a 502."""
    await broker.simulator.stop()

    assert_error(await broker.create(), 502, "UpstreamFailure")


async def test_upstream_never_reached_gives_the_charge_back() -> None:
    """A create that provably never left costs the device nothing."""
    async with running_broker(THROTTLE_DEVICE="1/10m") as broker:
        port = urlsplit(broker.simulator.url).port or 0
        await broker.simulator.stop()
        assert_error(await broker.create(), 502, "UpstreamFailure")

        await broker.simulator.start(port=port)

        assert (await broker.create()).status_code == 200


@pytest.mark.parametrize("operation", ["create", "result"])
async def test_upstream_that_does_not_answer_in_time_is_a_timeout(operation: str) -> None:
    """Face is waited for as long as a call may take, and the phone is told that it was too long."""

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    patience = Patience(total=0.3, per_try=0.2, tries=1)
    async with running_broker(simulator_sleep=forever, patience=patience) as broker:
        if operation == "create":
            answer = await broker.create("sim-create-slow")
        else:
            answer = await broker.result(await broker.created("sim-result-slow"))

        assert_error(answer, 504, "UpstreamTimeout")


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("frontdoor", {"x-azure-socketip": "203.0.113.7"}),
        (
            "frontdoor",
            {"x-azure-socketip": "203.0.113.8", "x-azure-fdid": "0f8fad5b-d9cb-469f-a165-70867728950f"},
        ),
        ("appservice", {"client-ip": "1.2.3.4, 9.9.9.9"}),
        ("appservice", {}),
    ],
)
async def test_caller_who_comes_around_the_front_is_limited_with_all_such(
    source: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without an address that the platform vouches for, guessing is no freer than with one, and it is logged."""
    door = "0f8fad5b-d9cb-469f-a165-70867728950e"
    async with running_broker(CLIENT_ADDRESS=source, THROTTLE_CLIENT="2/10m", FRONT_DOOR_ID=door) as broker:
        session = {"sessionId": UNKNOWN_ID, "authToken": "guess"}
        answers = [(await broker.result(session, **headers)).status_code for _ in range(3)]

    assert answers == [404, 404, 429]
    assert "client_address_unvouched" in caplog.text


async def test_empty_digest_is_no_match(broker: Broker) -> None:
    """An app that sends the field without what the SDK should have handed it gets no pass."""
    session = await broker.created()
    await broker.perform(session)

    body = (await broker.result(session, **{"X-Client-Digest": ""})).json()

    assert (body["passed"], body["digestMatches"], body["livenessDecision"]) == (False, False, "realface")


class BrokenStore(MemoryStore):
    """A store that stops answering when it is told to."""

    broken: Table | None = None

    async def insert(self, table: Table, entity: Entity) -> Entity:
        self._require_answer(table)
        return await super().insert(table, entity)

    async def get(self, table: Table, key: str) -> Entity | None:
        self._require_answer(table)
        return await super().get(table, key)

    def _require_answer(self, table: Table) -> None:
        if table is self.broken:
            raise StorageUnavailable("down", retry_after=7)


@pytest.mark.parametrize(
    "table", [Table.THROTTLE, Table.SESSIONS, Table.IDEMPOTENCY], ids=lambda table: table.value
)
async def test_store_down_nothing_is_disclosed(table: Table) -> None:
    """Without its store the broker makes no session, or takes back the one that it made."""
    store = BrokenStore()
    async with running_broker(store=store) as broker:
        store.broken = table
        headers = {"Idempotency-Key": "k" * 16}

        answer = await post(broker, json.dumps(GOOD).encode(), **headers)

        assert_error(answer, 503, "StorageUnavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert all(session.deleted for session in broker.simulator.sessions)

        store.broken = None
        assert (await post(broker, json.dumps(GOOD).encode(), **headers)).status_code == 200


async def test_secret_that_cannot_be_read_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the secrets of the vault nothing can be done: 503 with Retry-After."""
    # The identity endpoint of App Service, at a port where nobody listens.
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "some-header")
    async with running_broker(KEY_VAULT_URL="https://localhost:9") as broker:
        answer = await broker.create()

        assert_error(answer, 503, "KeyUnavailable")
        assert int(answer.headers["Retry-After"]) >= 1


class FaultyStore(MemoryStore):
    """A store with a bug."""

    async def get(self, table: Table, key: str) -> Entity | None:
        raise RuntimeError("a secret text")


async def test_fault_of_our_own_tells_nothing() -> None:
    """A bug is a 500 with a request id and never the text of the exception."""
    async with running_broker(store=FaultyStore()) as broker:
        answer = await broker.create()

        assert_error(answer, 500, "InternalError")
        assert "secret" not in answer.text


def test_every_error_of_the_catalogue_is_provoked() -> None:
    """Each code is expected of an answer over HTTP, here or in the tests of the audit."""
    here = Path(__file__)
    sources = [here, here.parents[1] / "audit_session/test_trigger.py"]
    texts = {
        node.value
        for source in sources
        for test in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(test, ast.AsyncFunctionDef) and test.name.startswith("test_")
        for node in ast.walk(test)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert [row.code for row in CATALOGUE if row.code not in texts] == []
