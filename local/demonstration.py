"""One check from end to end, printed step by step."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from local.event_log import EventLog

REFERENCE = "demonstration:1"
"""The transaction of the check."""

_BODY = {"livenessOperationMode": "Passive", "deviceCorrelationId": "demonstration-device"}
_Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Access tokens where callers sign in: of a person, of a grant for that person's transaction, and of a server."""

    person: str
    grant: str
    server: str


async def demonstrate(
    broker_url: str,
    simulator_url: str,
    events: EventLog,
    tokens: Tokens | None = None,
    *,
    patience: float = 30.0,
) -> bool:
    """Create a session, perform the check, read the result, and wait `patience` seconds for the event.

    With `tokens` the phone signs in with the grant. Returns whether all of that went well.
    """
    print("A demonstration check\n")
    signed_in = _signed_in(tokens.grant) if tokens else {}
    async with (
        httpx.AsyncClient(base_url=broker_url, headers=signed_in, trust_env=False) as broker,
        httpx.AsyncClient(base_url=simulator_url, trust_env=False) as phone,
    ):
        try:
            # A grant names the transaction. Without one the body does.
            session = await _create(broker, {} if tokens else {"clientReference": REFERENCE})
            digest = await _perform(phone, session)
            read = await _read(broker, session, digest)
            refused = await _read_with_wrong_token(broker, session)
            others = await _use_other_tokens(broker, session, tokens) if tokens else True
        except httpx.HTTPStatusError as error:
            print(f"\n  Failed: HTTP {error.response.status_code}\n  {error.response.text}")
            return False
    event = await _event(events, session, patience, step=6 if tokens else 5)
    named_by = "token" if tokens else "caller"
    return event is not None and _is_pass(event, named_by) and read and refused and others


def _signed_in(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def _create(broker: httpx.AsyncClient, fields: _Json) -> _Json:
    _print_step("1. The phone asks the broker for a session: POST /api/sessions")
    answer = (await broker.post("/api/sessions", json={**_BODY, **fields})).raise_for_status()
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


async def _use_other_tokens(broker: httpx.AsyncClient, session: _Json, tokens: Tokens) -> bool:
    _print_step(
        "5. A person without a grant names the transaction; a server reads the session without its token"
    )
    body = _BODY | {"clientReference": REFERENCE}
    person = await broker.post("/api/sessions", json=body, headers=_signed_in(tokens.person))
    server = await broker.get(f"/api/sessions/{session['sessionId']}", headers=_signed_in(tokens.server))
    refusal = person.json().get("error", {})
    _print_values({"person": f"{person.status_code} {refusal.get('code')}, target {refusal.get('target')}"})
    _print_values({"server": f"{server.status_code}, passed {json.dumps(server.json().get('passed'))}"})
    return (person.status_code, server.status_code) == (httpx.codes.FORBIDDEN, httpx.codes.OK)


async def _event(events: EventLog, session: _Json, patience: float, step: int) -> _Json | None:
    _print_step(f"{step}. The business system gets an event, even if the phone never comes back")
    try:
        async with asyncio.timeout(patience):
            event = await events.event_of(session["sessionId"])
    except TimeoutError:
        _print_step(f"   Failed: no event within {patience:.0f} seconds")
        return None
    names = ("principal", "clientReference", "clientReferenceFrom", "livenessDecision", "passed")
    shown = {name: event["data"][name] for name in names}
    _print_values({"type": event["type"], "id": event["id"]} | shown)
    return event


def _is_pass(event: _Json, named_by: str) -> bool:
    data = event["data"]
    named = (data["clientReference"], data["clientReferenceFrom"])
    return bool(data["passed"]) and named == (REFERENCE, named_by)


def _print_step(step: str) -> None:
    print(f"  {step}", flush=True)


def _print_values(values: _Json) -> None:
    for name, value in values.items():
        print(f"       {name:<19} {value if isinstance(value, str) else json.dumps(value)}")
