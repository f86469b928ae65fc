"""One check from end to end, told step by step."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from local.event_log import EventLog

_REFERENCE = "demonstration:1"
_EVENT_SECONDS = 30.0


async def demonstrate(
    broker_url: str, simulator_url: str, events: EventLog, *, patience: float = _EVENT_SECONDS
) -> bool:
    """Create a session, let the simulated phone perform the check, read the result, and wait for the event.

    Answers whether all of that went well, the event within `patience` seconds.
    """
    async with (
        httpx.AsyncClient(base_url=broker_url, trust_env=False) as broker,
        httpx.AsyncClient(base_url=simulator_url, trust_env=False) as phone,
    ):
        try:
            return await _check(broker, phone, events, patience)
        except httpx.HTTPStatusError as error:
            print(f"\n  This went wrong: HTTP {error.response.status_code}\n  {error.response.text}")
            return False


async def _check(
    broker: httpx.AsyncClient, phone: httpx.AsyncClient, events: EventLog, patience: float
) -> bool:
    print("A demonstration check\n")
    session = await _create(broker)
    digest = await _perform(phone, session)
    result = await _read(broker, session, digest)
    refused = await _read_with_wrong_token(broker, session)
    told = await _wait_for_event(events, session, patience)
    return _is_good(result) and refused == httpx.codes.NOT_FOUND and told


def _is_good(result: Mapping[str, Any]) -> bool:
    # Where decisions are kept from phones, the event alone tells that it passed.
    return bool(result.get("passed", result["status"] == "ResultAvailable"))


async def _create(broker: httpx.AsyncClient) -> dict[str, Any]:
    _tell("1. The phone asks the broker for a session: POST /api/sessions")
    body = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": "demonstration-device",
        "clientReference": _REFERENCE,
    }
    answer = (await broker.post("/api/sessions", json=body)).raise_for_status()
    session: dict[str, Any] = answer.json()
    _show("session", session["sessionId"])
    _show("expires", session["expiresAt"])
    _show("limit", answer.headers.get("RateLimit", "none"))
    return session


async def _perform(phone: httpx.AsyncClient, session: Mapping[str, Any]) -> str:
    _tell("2. The phone performs the check with Face itself (simulated), with the session's token")
    token = {"Authorization": f"Bearer {session['authToken']}"}
    answer = (await phone.post("/simulator/perform", headers=token)).raise_for_status()
    digest = str(answer.json()["digest"])
    _show("digest", f"{digest[:16]}...")
    return digest


async def _read(broker: httpx.AsyncClient, session: Mapping[str, Any], digest: str) -> dict[str, Any]:
    _tell("3. The phone reads the result at the broker: GET /api/sessions/{sessionId}")
    headers = {"X-Session-Token": session["authToken"], "X-Client-Digest": digest}
    answer = (await broker.get(f"/api/sessions/{session['sessionId']}", headers=headers)).raise_for_status()
    result: dict[str, Any] = answer.json()
    for name in ("status", "livenessDecision", "digestMatches", "passed"):
        if name in result:
            _show(name, result[name])
    return result


async def _read_with_wrong_token(broker: httpx.AsyncClient, session: Mapping[str, Any]) -> int:
    _tell("4. Somebody else tries to read it, without the right token")
    headers = {"X-Session-Token": "a-guess"}
    answer = await broker.get(f"/api/sessions/{session['sessionId']}", headers=headers)
    _show(str(answer.status_code), answer.json()["error"]["message"])
    return answer.status_code


async def _wait_for_event(events: EventLog, session: Mapping[str, Any], patience: float) -> bool:
    _tell("5. The business behind it is told by an event, whether or not the phone comes back")
    try:
        async with asyncio.timeout(patience):
            event = await events.event_of(session["sessionId"])
    except TimeoutError:
        _tell(f"   This went wrong: none came within {patience:.0f} seconds")
        return False
    data = event["data"]
    _show("type", event["type"])
    _show("id", event["id"])
    for name in ("clientReference", "livenessDecision", "passed"):
        _show(name, data[name])
    return bool(data["passed"]) and data["clientReference"] == _REFERENCE


def _tell(step: str) -> None:
    print(f"  {step}", flush=True)


def _show(name: str, value: object) -> None:
    print(f"       {name:<17} {value if isinstance(value, str) else json.dumps(value)}")
