"""The app's functions, run by the production engine: their answers as the host is handed them."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import azure.functions as func
import pytest

from shared.app import App
from shared.errors import UpstreamQuotaExceeded
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.storage.port import Entity, Table
from tests.contract.conftest import Decorated
from tests.support.engine import Engine, EngineFailure, EngineResponse
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

BASE = "https://broker.example/api"
DAY_MS = 86_400_000
GOOD_BODY = json.dumps({"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}).encode()

pytestmark = pytest.mark.usefixtures("app")


async def post(engine: Engine, body: bytes = GOOD_BODY, **headers: str) -> EngineResponse:
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


def require_error(answer: EngineResponse, status: int, code: str) -> None:
    """An error has its code and the request's id in body and header alike."""
    require_contract_fields(answer)
    error = answer.json()["error"]
    assert (answer.status, error["code"], answer.header("x-ms-error-code")) == (status, code, code)
    assert error["requestId"] == answer.header("x-ms-request-id")
    assert error["message"]


async def test_each_function_answers_in_the_contracts_shape(engine: Engine, face: FakeFace) -> None:
    """From a create to the end of its session: all header fields and each body survive the engine."""
    created = await post(engine)
    session = created.json()
    session_id = session["sessionId"]
    audit = f"{BASE}/sessions/{session_id}/audit"
    route = {"sessionId": session_id}
    result = await with_token(engine, "get_result", session)
    history = await engine.http("audit_session", "GET", audit, params={"top": "1"}, route_params=route)
    health = await engine.http("health", "GET", f"{BASE}/health")
    ready = await engine.http("ready", "GET", f"{BASE}/ready")
    revoked = await with_token(engine, "revoke_session", session)
    answers = (created, result, history, health, ready, revoked)

    for answer in answers:
        require_contract_fields(answer)
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 200, 204]
    assert session == {
        "sessionId": next(iter(face.specs)),
        "authToken": "auth-token-1",
        "expiresAt": "2027-01-15T08:10:00.000Z",
        "resultUrl": f"{BASE}/sessions/{session_id}",
    }
    assert created.header("RateLimit-Policy")
    assert created.header("RateLimit")
    assert (result.json()["status"], int(result.header("Retry-After") or 0)) == ("NotStarted", 2)
    assert [entry["event"] for entry in history.json()["entries"]] == ["created"]
    assert health.json() == {"status": "healthy", "version": None, "commit": None}
    assert ready.json()["status"] == "ready"
    assert revoked.body == b""
    require_error(await with_token(engine, "get_result", session), 404, "SessionNotFound")


@pytest.mark.parametrize(
    ("body", "headers", "fault", "status", "code"),
    [
        (b"{", {}, None, 400, "InvalidRequestBody"),
        (b"", {}, None, 411, "LengthRequired"),
        (b" " * 4097, {}, None, 413, "RequestTooLarge"),
        (b"{}", {"Content-Type": "text/plain"}, None, 415, "BadArgument"),
        (GOOD_BODY, {}, UpstreamQuotaExceeded(retry_after=172_800.0), 503, "UpstreamQuotaExceeded"),
        (GOOD_BODY, {}, RuntimeError("a secret"), 500, "InternalError"),
    ],
)
async def test_create_that_gives_no_session_says_why_in_the_contracts_shape(
    engine: Engine,
    face: FakeFace,
    body: bytes,
    headers: Mapping[str, str],
    fault: Exception | None,
    status: int,
    code: str,
) -> None:
    """Body and header fields reach the app as the engine has them. Of an exception it would make an empty 500."""
    if fault:
        face.fail("create", fault)

    answer = await post(engine, body, **headers)

    require_error(answer, status, code)
    assert "secret" not in str(answer)
    assert not face.specs


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "", None), ("PUT", f"sessions/{uuid.UUID(int=1)}", "DELETE, GET, HEAD")],
)
async def test_catch_all_tells_unknown_paths_from_unknown_methods(
    engine: Engine, method: str, path: str, allow: str | None
) -> None:
    """A path that exists says which methods it has."""
    route = {"path": path} if path else {}
    answer = await engine.http("unknown_route", method, f"{BASE}/{path}", route_params=route)

    require_error(answer, 405 if allow else 404, "MethodNotAllowed" if allow else "NotFound")
    assert answer.header("Allow") == allow


async def test_engine_hands_over_every_header_field_of_a_response(
    engine: Engine, decorated: Decorated
) -> None:
    """The response has no field twice, of which the engine would keep one: both sides show the same fields."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(GOOD_BODY))}
    request = func.HttpRequest("POST", f"{BASE}/sessions", headers=headers, body=GOOD_BODY)

    response = await decorated["create_session"].get_user_function()(request)
    answer = await post(engine)

    assert response.status_code == answer.status == 200
    assert sorted(name for name, _ in response.headers.items()) == sorted(answer.headers)


async def test_queue_message_is_collected_or_its_failure_is_told(engine: Engine, face: FakeFace) -> None:
    """A message reaches the collector; what the collector raises reaches the host, which delivers it again."""
    session_id = (await post(engine)).json()["sessionId"]
    face.answer(session_id, SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE))

    await engine.queue("collect_result", CollectMessage(session_id, Reason.POLL).to_text())
    with pytest.raises(EngineFailure, match="ValueError: the message names no session"):
        await engine.queue("collect_result", "{}", dequeue_count=2)

    assert face.deleted == [session_id]


@pytest.mark.parametrize("past_due", [False, True], ids=["in time", "late"])
async def test_timer_runs_the_purge(engine: Engine, app: App, clock: FakeClock, past_due: bool) -> None:
    """A row that has expired is gone after the run, in time or late, and one that has not is there."""
    await app.store.insert(Table.THROTTLE, Entity("device-1", {"created": "1"}, clock() - DAY_MS))
    await app.store.insert(Table.THROTTLE, Entity("device-2", {"created": "1"}, clock() + DAY_MS))

    await engine.timer("purge_expired", past_due=past_due)

    assert await app.store.get(Table.THROTTLE, "device-1") is None
    assert await app.store.get(Table.THROTTLE, "device-2")
