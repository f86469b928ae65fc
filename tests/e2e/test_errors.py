"""Each error of the catalogue, provoked through HTTP."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from shared.errors import StorageUnavailable
from shared.storage.port import Table
from shared.web.catalogue import CATALOGUE
from tests.support.broker import FACE_KEY, FUNCTION_KEY, Broker, running_broker
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore

UNKNOWN_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"
GOOD = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}
KEY = {"Idempotency-Key": "k" * 16}
TOKEN = {"X-Session-Token": "some-token"}
STATUS_OF = {row.code: int(row.status) for row in CATALOGUE}

Provoke = Callable[[Broker], Awaitable[httpx.Response]]


def require_error(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The answer is an error of the contract: status, shape, code and request id twice, wait in two places."""
    assert (answer.status_code, answer.headers.get("x-ms-error-code")) == (STATUS_OF[code], code), answer.text
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["requestId"] == answer.headers["x-ms-request-id"]
    wait = answer.headers.get("Retry-After")
    assert error.get("retryAfterSeconds") == (int(wait) if wait else None)
    return error


async def post(broker: Broker, content: bytes | AsyncIterator[bytes], **headers: str) -> httpx.Response:
    fields = {"Content-Type": "application/json"} | headers
    return await broker.http.post("/api/sessions", content=content, headers=fields)


def posted(content: bytes) -> Provoke:
    """Send a body to where sessions are created."""
    return lambda broker: post(broker, content)


def created(*, times: int = 1, headers: Mapping[str, str] | None = None, **fields: object) -> Provoke:
    """Ask for sessions, one after the other; the last answer counts."""

    async def provoke(broker: Broker) -> httpx.Response:
        for _ in range(times):
            answer = await broker.create("a-device", headers, **fields)
        return answer

    return provoke


def asked(method: str, path: str, **headers: str) -> Provoke:
    """Ask for a path."""
    return lambda broker: broker.http.request(method, f"/api/{path}", headers=headers)


async def chunked(broker: Broker) -> httpx.Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield json.dumps(GOOD).encode()

    return await post(broker, chunks())


async def key_of_another_body(broker: Broker) -> httpx.Response:
    await created(headers=KEY)(broker)
    return await created(headers=KEY, deviceCorrelationId="another")(broker)


async def unreachable_upstream(broker: Broker) -> httpx.Response:
    await broker.simulator.stop()
    return await broker.create()


def audited(query: str) -> Provoke:
    """Ask for an audit, with the function key."""
    return asked("GET", f"sessions/{UNKNOWN_ID}/audit?{query}", **{"x-functions-key": FUNCTION_KEY})


@dataclass(frozen=True, slots=True)
class Case:
    """How an error is provoked; `wait` is the least Retry-After, `targets` the fields at fault."""

    code: str
    provoke: Provoke
    targets: tuple[str, ...] = ()
    wait: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


BODY, TTL, MODE = "InvalidRequestBody", "authTokenTimeToLiveInSeconds", "livenessOperationMode"
EVERYTHING: dict[str, Any] = {"clientReference": "a b", MODE: "x", "deviceCorrelationId": ""}
FROM_HERE = {"client-ip": "203.0.113.7:50123"}
ONE_EACH = {"CLIENT_ADDRESS": "appservice", "THROTTLE_CLIENT": "1/10m"}

CASES = {
    "not JSON": Case(BODY, posted(b"{"), ("body",)),
    "forged decision": Case(BODY, created(livenessDecision="realface"), ("livenessDecision",)),
    "lifetime over a day": Case("InvalidTokenLifetime", created(authTokenTimeToLiveInSeconds=86_401), (TTL,)),
    "mode of a later version": Case(
        "InvalidLivenessOperationMode", created(livenessOperationMode="PassiveActive"), (MODE,)
    ),
    "device that does not name itself": Case(
        "InvalidDeviceCorrelationId",
        created(deviceCorrelationId=None, deviceCorrelationIdSetInClient=True),
        ("X-Device-Correlation-Id",),
    ),
    "short key": Case(
        "InvalidIdempotencyKey", created(headers={"Idempotency-Key": "short"}), ("Idempotency-Key",)
    ),
    "everything": Case(
        BODY, created(headers={"Idempotency-Key": ""}, **EVERYTHING), (*EVERYTHING, "Idempotency-Key")
    ),
    "audit, start and top": Case("InvalidStart", audited("start=x&top=0"), ("start", "top")),
    "audit, top": Case("InvalidTop", audited("top=1001"), ("top",)),
    "no session": Case("SessionNotFound", asked("GET", f"sessions/{UNKNOWN_ID}", **TOKEN)),
    "no path": Case("NotFound", asked("GET", "nothing")),
    "no method": Case("MethodNotAllowed", asked("GET", "sessions")),
    "chunked": Case("LengthRequired", chunked),
    "too large": Case("RequestTooLarge", posted(json.dumps(GOOD).encode().ljust(4097))),
    "not JSON's media type": Case("BadArgument", created(headers={"Content-Type": "text/plain"})),
    "key of another body": Case("IdempotencyKeyReused", key_of_another_body),
    "device too often": Case(
        "DeviceThrottled", created(times=2), wait=600, settings={"THROTTLE_DEVICE": "1/10m"}
    ),
    "address too often": Case(
        "ClientThrottled", created(times=2, headers=FROM_HERE), wait=600, settings=ONE_EACH
    ),
    "create: unreachable": Case("UpstreamFailure", unreachable_upstream),
}
CASES |= {
    device: Case(code, created(deviceCorrelationId=device), wait=wait)
    for device, code, wait in (
        ("sim-create-500", "UpstreamFailure", None),
        ("sim-create-401", "UpstreamUnauthorized", None),
        ("sim-create-403", "UpstreamNotApproved", None),
        ("sim-create-429", "UpstreamThrottled", 26),
        ("sim-create-503", "UpstreamThrottled", 1),
        ("sim-create-quota", "UpstreamQuotaExceeded", 3600),
    )
}
# Each of these has a test of its own, below or in the file that is named, because it takes more than a request.
ALONE = {
    "Forbidden": "test_sign_in.py",
    "Unauthorized": "test_sign_in.py",
    "KeyUnavailable": "test_sign_in.py",
    "UpstreamTimeout": "test_magic_ids.py",
    "InternalError": "tests/contract/test_function_calls.py",
    "IdempotencyInProgress": "",
    "StorageUnavailable": "",
}


def test_every_error_of_the_catalogue_is_provoked() -> None:
    """Each code has a case, or a test of its own."""
    cases = {case.code for case in CASES.values()}
    assert cases | set(ALONE) == set(STATUS_OF)
    assert not cases & set(ALONE)


@pytest.mark.parametrize("name", CASES)
async def test_error_is_answered_as_the_catalogue_says(name: str) -> None:
    """In the contract's shape, with all fields at fault, and a wait where waiting helps; none was sent upstream."""
    case = CASES[name]
    async with running_broker(**case.settings) as broker:
        answer = await case.provoke(broker)
        error = require_error(answer, case.code)

        assert tuple(detail["target"] for detail in error.get("details", ())) == case.targets
        assert error.get("target") == (case.targets[0] if case.targets else None)
        assert error.get("retryAfterSeconds", 0) >= (case.wait or 0)
        assert ("Retry-After" in answer.headers) == (case.wait is not None)
        if answer.status_code in (400, 411, 413, 415):
            assert broker.simulator.calls.get("create", 0) == 0


async def test_id_of_no_session_is_not_found(broker: Broker) -> None:
    """An unknown id, or a text that is no id, is the same 404, and Face is not asked."""
    texts = ["not-a-guid", "%2e%2e%2f%2e%2e", "..%2Fsessions", "a%3f", "%EF%BC%91" * 8, "x" * 3000]
    for session_id in (UNKNOWN_ID, UNKNOWN_ID.upper(), f"{{{UNKNOWN_ID}}}", *texts):
        for method in ("GET", "DELETE"):
            require_error(await asked(method, f"sessions/{session_id}", **TOKEN)(broker), "SessionNotFound")

    assert sum(broker.simulator.calls.values()) == 0


async def test_wrong_token_is_answered_like_an_unknown_session(broker: Broker) -> None:
    """Only the holder learns that a session exists: the answers differ in the request id alone."""
    session, other = await broker.created("mine"), await broker.created("other")

    def comparable(answer: httpx.Response) -> tuple[int, str, list[str]]:
        names = sorted(answer.headers.keys())
        return answer.status_code, re.sub('"requestId":"[^"]*"', "", answer.text), names

    for method in ("GET", "DELETE"):
        for headers in ({}, {"X-Session-Token": ""}, {"X-Session-Token": other["authToken"]}):
            unknown = await asked(method, f"sessions/{UNKNOWN_ID}", **headers)(broker)
            foreign = await asked(method, f"sessions/{session['sessionId']}", **headers)(broker)

            assert comparable(foreign) == comparable(unknown)
            require_error(foreign, "SessionNotFound")


async def test_first_create_still_running_second_is_told_to_wait() -> None:
    """A repeat with the same key while the first runs is a 409 with Retry-After, and makes no second session."""
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_: float) -> None:
        arrived.set()
        await released.wait()

    slow = created(deviceCorrelationId="sim-create-slow", headers=KEY)
    async with running_broker(simulator_sleep=hold) as broker:
        first = asyncio.ensure_future(slow(broker))
        await arrived.wait()

        error = require_error(await slow(broker), "IdempotencyInProgress")

        assert error["retryAfterSeconds"] == 1
        released.set()
        assert (await first).status_code == 200
        assert broker.simulator.calls["create"] == 1


async def test_sixth_create_in_ten_minutes_is_throttled(broker: Broker) -> None:
    """It is refused with an honest Retry-After, costs no upstream call, and is admitted when the wait is over."""
    for _ in range(5):
        await broker.created()
        broker.clock.advance_seconds(60)

    refused = await broker.create()

    wait = require_error(refused, "DeviceThrottled")["retryAfterSeconds"]
    # The first of the five leaves the window after ten minutes: five of them are over.
    assert 300 <= wait <= 306
    assert refused.headers["RateLimit-Policy"] == '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'
    assert refused.headers["RateLimit"] == '"device-10m";r=0;t=300'
    assert broker.simulator.calls["create"] == 5
    broker.clock.advance_seconds(299.999)
    require_error(await broker.create(), "DeviceThrottled")
    broker.clock.advance_seconds(0.001)
    assert (await broker.create()).status_code == 200


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("frontdoor", {"x-azure-socketip": "203.0.113.7"}),
        ("appservice", {"client-ip": "1.2.3.4, 9.9.9.9"}),
    ],
)
async def test_callers_without_a_vouched_address_share_one_limit(
    source: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Guessing around the platform's front is no freer than through it, and it is logged."""
    door = "0f8fad5b-d9cb-469f-a165-70867728950e"
    async with running_broker(CLIENT_ADDRESS=source, THROTTLE_MISSES="2/10m", FRONT_DOOR_ID=door) as broker:
        session = {"sessionId": UNKNOWN_ID, "authToken": "guess"}
        answers = [(await broker.result(session, **headers)).status_code for _ in range(3)]

    assert answers == [404, 404, 429]
    assert "client_address_unvouched" in caplog.text


async def test_session_that_face_does_not_know_too_early_is_not_over(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """Another resource than the one that made it says so: the operator is told, and nothing is lost."""
    session = await broker.created()
    path = f"/face/v1.1-preview.1/detectLiveness/singleModal/sessions/{session['sessionId']}"
    await broker.phone.delete(path, headers={"Ocp-Apim-Subscription-Key": FACE_KEY})

    with caplog.at_level(logging.WARNING):
        require_error(await broker.result(session), "UpstreamFailure")
    broker.clock.advance_seconds(600 + 121)
    after = await broker.result(session)

    assert broker.simulator.sessions[0].deleted
    assert "is this the resource that made it?" in caplog.text
    assert after.json()["status"] == "Expired"


@pytest.mark.parametrize("table", Table, ids=lambda table: table.value)
async def test_store_down_nothing_is_disclosed(table: Table) -> None:
    """Without its store the broker makes no session, or takes back the one that it made."""
    store = FakeStore()

    async def broken(call: Call, effect: Effect) -> object:
        if call.table is table:
            raise StorageUnavailable("for the test", retry_after=7)
        return await effect()

    async with running_broker(store=store) as broker:
        store.around = broken
        require_error(await created(headers=KEY)(broker), "StorageUnavailable")
        assert all(session.deleted for session in broker.simulator.sessions)

        store.around = None
        assert (await created(headers=KEY)(broker)).status_code == 200
