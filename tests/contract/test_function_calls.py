"""The app's functions, run by the production engine: their answers as the host is handed them."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import azure.functions as func
import pytest

from shared.errors import UpstreamQuotaExceeded, UpstreamTimeout
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from tests.contract.decorated import Decorated
from tests.support.engine import Engine, EngineResponse
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

BASE = "https://broker.example/api"
BODY = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}

pytestmark = pytest.mark.usefixtures("app")


async def create(engine: Engine, **fields: object) -> EngineResponse:
    """Ask for a session as a phone does."""
    return await post(engine, json.dumps(BODY | fields).encode())


async def post(engine: Engine, body: bytes, **headers: str) -> EngineResponse:
    """Send a body to where sessions are created."""
    fields = {"Content-Type": "application/json"} | headers
    return await engine.http("create_session", "POST", f"{BASE}/sessions", headers=fields, body=body)


async def with_token(engine: Engine, function: str, session: Mapping[str, Any]) -> EngineResponse:
    """Read or revoke a session, as who was given it."""
    return await engine.http(
        function,
        "GET" if function == "get_result" else "DELETE",
        f"{BASE}/sessions/{session['sessionId']}",
        headers={"X-Session-Token": str(session["authToken"])},
        route_params={"sessionId": str(session["sessionId"])},
    )


def require_contract_fields(answer: EngineResponse) -> None:
    """Each answer has the header fields that every answer has, once, and says what its body is."""
    names = [name.lower() for name in answer.headers]
    assert len(names) == len(set(names))
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert uuid.UUID(answer.header("x-ms-request-id")).version == 4
    # The host answers 500 where a value is not ASCII.
    assert all(value.isascii() and value.isprintable() for value in answer.headers.values())
    if answer.body:
        assert answer.header("Content-Type") == "application/json; charset=utf-8"
        assert answer.header("Content-Length") == str(len(answer.body))
        assert answer.body.decode("utf-8") == json.dumps(answer.json(), separators=(",", ":"))


def require_error(answer: EngineResponse, status: int, code: str) -> dict[str, Any]:
    """An error has its code and the request's id in body and header alike; returns the error."""
    require_contract_fields(answer)
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status, error["code"], answer.header("x-ms-error-code")) == (status, code, code)
    assert error["requestId"] == answer.header("x-ms-request-id")
    assert error["message"]
    return error


async def test_create_answers_the_session(engine: Engine, face: FakeFace) -> None:
    """A session is created once, and its id, token, end and URL are in the answer, with the device's limit."""
    answer = await create(engine)

    require_contract_fields(answer)
    assert (answer.status, face.calls) == (200, {"create": 1})
    session_id = next(iter(face.specs))
    assert answer.json() == {
        "sessionId": session_id,
        "authToken": "auth-token-1",
        "expiresAt": "2027-01-15T08:10:00.000Z",
        "resultUrl": f"{BASE}/sessions/{session_id}",
    }
    assert answer.header("RateLimit-Policy")
    assert answer.header("RateLimit")


async def test_result_that_is_not_there_says_when_to_ask_again(engine: Engine) -> None:
    """A session that nobody started is told as such."""
    answer = await with_token(engine, "get_result", (await create(engine)).json())

    require_contract_fields(answer)
    assert (answer.status, answer.json()["status"], answer.json()["passed"]) == (200, "NotStarted", False)
    assert int(answer.header("Retry-After") or 0) > 0


async def test_result_that_is_there_is_told_in_full(engine: Engine, face: FakeFace) -> None:
    """A check that passed is told with all fields of the contract."""
    session = (await create(engine)).json()
    face.answer(
        session["sessionId"],
        SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="D1"),
    )

    answer = await with_token(engine, "get_result", session)

    require_contract_fields(answer)
    assert (answer.status, answer.header("Retry-After")) == (200, None)
    assert answer.json() == {
        "sessionId": session["sessionId"],
        "status": "ResultAvailable",
        "livenessDecision": "realface",
        "passed": True,
        "digestMatches": None,
        "attempts": 1,
        "failure": None,
        "createdDateTime": "2027-01-15T08:00:00.000Z",
        "expiresAt": "2027-01-15T08:10:00.000Z",
    }


async def test_revoke_answers_without_a_body_and_ends_the_session(engine: Engine, face: FakeFace) -> None:
    """A revoked session is deleted upstream, once, and is not found any more; revoking it again is fine."""
    session = (await create(engine)).json()

    for _ in range(2):
        answer = await with_token(engine, "revoke_session", session)
        require_contract_fields(answer)
        assert (answer.status, answer.body) == (204, b"")

    assert face.deleted == [session["sessionId"]]
    require_error(await with_token(engine, "get_result", session), 404, "SessionNotFound")


async def audit(engine: Engine, session_id: str, **query: str) -> EngineResponse:
    """Ask for the audit of a session, with a key that the host has looked at."""
    return await engine.http(
        "audit_session",
        "GET",
        f"{BASE}/sessions/{session_id}/audit",
        params=query,
        route_params={"sessionId": session_id},
    )


async def test_audit_tells_the_history_of_a_session(engine: Engine) -> None:
    """An upstream without an audit leaves the record to tell what happened, a page at a time."""
    session_id = (await create(engine)).json()["sessionId"]

    answer = await audit(engine, session_id, start="0", top="1")

    require_contract_fields(answer)
    assert (answer.status, answer.json()["source"]) == (200, "record")
    assert [entry["event"] for entry in answer.json()["entries"]] == ["created"]
    assert (await audit(engine, session_id, start="1")).json()["entries"] == []


async def test_audit_that_cannot_be_is_refused(engine: Engine) -> None:
    """A session that is not of this broker is not found; a page that there cannot be is refused."""
    session_id = (await create(engine)).json()["sessionId"]

    require_error(await audit(engine, str(uuid.UUID(int=1))), 404, "SessionNotFound")
    require_error(await audit(engine, session_id, start="x"), 400, "InvalidStart")
    require_error(await audit(engine, session_id, top="0"), 400, "InvalidTop")


async def test_health_asks_nobody(engine: Engine, face: FakeFace) -> None:
    """The app is healthy when it runs, whatever the upstream does."""
    answer = await engine.http("health", "GET", f"{BASE}/health")

    require_contract_fields(answer)
    assert (answer.status, answer.json(), face.calls) == (200, {"status": "healthy"}, {})


async def test_ready_names_what_is_not_there(engine: Engine, face: FakeFace) -> None:
    """Where Face does not answer the app is not ready, and says which dependency it is."""
    ready = await engine.http("ready", "GET", f"{BASE}/ready")
    face.fail("check", UpstreamTimeout())
    not_ready = await engine.http("ready", "GET", f"{BASE}/ready")

    for answer in (ready, not_ready):
        require_contract_fields(answer)
    assert (ready.status, ready.json()["status"]) == (200, "ready")
    assert (not_ready.status, not_ready.json()["status"]) == (503, "notReady")
    unavailable = [d["name"] for d in not_ready.json()["dependencies"] if d["state"] == "unavailable"]
    assert unavailable == ["face"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        pytest.param(b"{", {}, 400, "InvalidRequestBody", id="no JSON"),
        pytest.param(b"{}", {}, 400, "InvalidLivenessOperationMode", id="no field"),
        pytest.param(b"", {}, 411, "LengthRequired", id="chunked"),
        pytest.param(b" " * 4097, {}, 413, "RequestTooLarge", id="too large"),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 415, "BadArgument", id="media type"),
    ],
)
async def test_refused_create_says_why_and_calls_nobody(
    engine: Engine, face: FakeFace, body: bytes, headers: Mapping[str, str], status: int, code: str
) -> None:
    """Body and header fields reach the app as the engine hands them over, and nothing is sent upstream."""
    require_error(await post(engine, body, **headers), status, code)

    assert not face.calls


async def test_device_that_asks_too_often_is_throttled(engine: Engine, clock: FakeClock) -> None:
    """The sixth create is refused until the time that Retry-After says, and then admitted."""
    for _ in range(5):
        assert (await create(engine)).status == 200

    refused = await create(engine)

    error = require_error(refused, 429, "DeviceThrottled")
    wait = int(refused.header("Retry-After") or 0)
    assert wait == error["retryAfterSeconds"] >= 600
    assert refused.header("RateLimit")
    assert refused.header("RateLimit-Policy")
    clock.advance_seconds(wait)
    assert (await create(engine)).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        pytest.param(UpstreamQuotaExceeded(retry_after=172_800.0), 503, "UpstreamQuotaExceeded", id="quota"),
        pytest.param(RuntimeError("a secret"), 500, "InternalError", id="fault of our own"),
    ],
)
async def test_failed_create_is_told_in_the_contracts_shape(
    engine: Engine, face: FakeFace, fault: Exception, status: int, code: str
) -> None:
    """The engine never sees an exception, of which it would make an empty 500."""
    face.fail("create", fault)

    answer = await create(engine)

    require_error(answer, status, code)
    assert "secret" not in str(answer)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        pytest.param("GET", "nowhere", None, id="no such path"),
        pytest.param("GET", "", None, id="no path"),
        pytest.param("PUT", f"sessions/{uuid.UUID(int=1)}", "DELETE, GET", id="one session"),
        pytest.param("POST", f"sessions/{uuid.UUID(int=1)}/audit", "GET", id="audit"),
        pytest.param("BREW", "READY/", "GET", id="made-up method"),
    ],
)
async def test_catch_all_tells_unknown_paths_from_unknown_methods(
    engine: Engine, method: str, path: str, allow: str | None
) -> None:
    """A path that exists says which methods it has."""
    answer = await unknown(engine, method, path)

    require_error(answer, 405 if allow else 404, "MethodNotAllowed" if allow else "NotFound")
    assert answer.header("Allow") == allow


async def unknown(engine: Engine, method: str, path: str) -> EngineResponse:
    """Send a request that only the catch-all takes."""
    return await engine.http(
        "unknown_route", method, f"{BASE}/{path}", route_params={"path": path} if path else {}
    )


async def test_engine_hands_over_every_header_field_of_a_response(
    engine: Engine, decorated: Decorated
) -> None:
    """The response has no field twice, of which the engine would keep one: both sides show the same fields."""
    body = json.dumps(BODY).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    request = func.HttpRequest("POST", f"{BASE}/sessions", headers=headers, body=body)

    response = await decorated["create_session"].get_user_function()(request)
    answer = await create(engine)

    assert response.status_code == answer.status == 200
    assert sorted(name for name, _ in response.headers.items()) == sorted(answer.headers)
