"""One check from end to end, printed step by step."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from local.event_log import EventLog

REFERENCE = "demonstration:1"
"""The transaction of the check."""

_Json = Mapping[str, Any]


async def demonstrate(
    broker_url: str,
    simulator_url: str,
    events: EventLog,
    bearer_token: str | None = None,
    *,
    patience: float = 30.0,
) -> bool:
    """Create a session, perform the check, read the result, and wait `patience` seconds for the event.

    The phone signs in with `bearer_token`, if it is given one. Returns whether all of that went well.
    """
    print("A demonstration check\n")
    signed_in = {"Authorization": f"Bearer {bearer_token}"} if bearer_token else {}
    async with (
        httpx.AsyncClient(base_url=broker_url, headers=signed_in, trust_env=False) as broker,
        httpx.AsyncClient(base_url=simulator_url, trust_env=False) as phone,
    ):
        try:
            session = await _create(broker)
            digest = await _perform(phone, session)
            read = await _read(broker, session, digest)
            refused = await _read_with_wrong_token(broker, session)
        except httpx.HTTPStatusError as error:
            print(f"\n  Failed: HTTP {error.response.status_code}\n  {error.response.text}")
            return False
    return await _wait_for_event(events, session, patience) and read and refused


async def _create(broker: httpx.AsyncClient) -> _Json:
    _print_step("1. The phone asks the broker for a session: POST /api/sessions")
    body = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": "demonstration-device",
        "clientReference": REFERENCE,
    }
    answer = (await broker.post("/api/sessions", json=body)).raise_for_status()
    session: _Json = answer.json()
    limit = answer.headers.get("RateLimit", "none")
    _print_values({"session": session["sessionId"], "expires": session["expiresAt"], "limit": limit})
    return session


async def _perform(phone: httpx.AsyncClient, session: _Json) -> str:
    _print_step("2. The phone performs the check with Face (simulated), using the session's token")
    token = {"Authorization": f"Bearer {session['authToken']}"}
    answer = (await phone.post("/simulator/perform", headers=token)).raise_for_status()
    digest = str(answer.json()["digest"])
    _print_values({"digest": f"{digest[:16]}..."})
    return digest


async def _read(broker: httpx.AsyncClient, session: _Json, digest: str) -> bool:
    _print_step("3. The phone reads the result from the broker: GET /api/sessions/{sessionId}")
    headers = {"X-Session-Token": session["authToken"], "X-Client-Digest": digest}
    answer = (await broker.get(f"/api/sessions/{session['sessionId']}", headers=headers)).raise_for_status()
    result: _Json = answer.json()
    shown = ("status", "livenessDecision", "digestMatches", "passed")
    _print_values({name: result[name] for name in shown if name in result})
    # With RESULT_VISIBILITY=status a phone sees no decision: only the event shows that the check passed.
    return bool(result.get("passed", result["status"] == "ResultAvailable"))


async def _read_with_wrong_token(broker: httpx.AsyncClient, session: _Json) -> bool:
    _print_step("4. Another caller tries to read the result with a wrong token")
    headers = {"X-Session-Token": "a-guess"}
    answer = await broker.get(f"/api/sessions/{session['sessionId']}", headers=headers)
    _print_values({str(answer.status_code): answer.json()["error"]["message"]})
    return answer.status_code == httpx.codes.NOT_FOUND


async def _wait_for_event(events: EventLog, session: _Json, patience: float) -> bool:
    _print_step("5. The business system gets an event, even if the phone never comes back")
    try:
        async with asyncio.timeout(patience):
            event = await events.event_of(session["sessionId"])
    except TimeoutError:
        _print_step(f"   Failed: no event within {patience:.0f} seconds")
        return False
    data = event["data"]
    shown = {name: data[name] for name in ("clientReference", "livenessDecision", "passed")}
    _print_values({"type": event["type"], "id": event["id"]} | shown)
    return bool(data["passed"]) and data["clientReference"] == REFERENCE


def _print_step(step: str) -> None:
    print(f"  {step}", flush=True)


def _print_values(values: _Json) -> None:
    for name, value in values.items():
        print(f"       {name:<17} {value if isinstance(value, str) else json.dumps(value)}")
