"""One check from end to end, printed step by step."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from local.event_log import EventLog
from shared.http import Connections
from shared.http_port import Http, HttpAnswer, NoAnswer

REFERENCE = "demonstration:1"
"""The transaction of the check."""

_BODY = {"livenessOperationMode": "Passive", "deviceCorrelationId": "demonstration-device"}
_Json = Mapping[str, Any]
_LARGEST_ANSWER = 64 * 1024
_ANSWER_WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Access tokens where callers sign in: of a person, of a grant for that person's transaction, and of a server."""

    person: str
    grant: str
    server: str


class _Failed(Exception):
    """What ends the demonstration."""


@dataclass(frozen=True, slots=True)
class _Client:
    """Sends JSON to a server, for a caller who may be signed in."""

    http: Http
    url: str
    token: str | None = None

    async def send(
        self, method: str, path: str, body: _Json | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a request; returns its answer, whatever the status. Raises `_Failed` without one."""
        fields = {"Content-Type": "application/json"} if body else {}
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        content = json.dumps(body).encode() if body else None
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_SECONDS):
                return await self.http.send(method, self.url + path, fields | dict(headers or {}), content)
        except (NoAnswer, TimeoutError) as error:
            raise _Failed(f"no answer from {self.url}: {str(error) or type(error).__name__}") from error


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
    connections = Connections()
    http = connections.transport(largest_answer=_LARGEST_ANSWER)
    broker = _Client(http, broker_url, tokens.grant if tokens else None)
    try:
        # A grant names the transaction. Without one the body does.
        session = await _create(broker, {} if tokens else {"clientReference": REFERENCE})
        digest = await _perform(_Client(http, simulator_url, session["authToken"]))
        read = await _read(broker, session, digest)
        refused = await _read_with_wrong_token(broker, session)
        others = await _use_other_tokens(broker, session, tokens) if tokens else True
    except _Failed as failed:
        print(f"\n  Failed: {failed}")
        return False
    finally:
        await connections.aclose()
    event = await _event(events, session, patience, step=6 if tokens else 5)
    named_by = "token" if tokens else "caller"
    return event is not None and _is_pass(event, named_by) and read and refused and others


async def _create(broker: _Client, fields: _Json) -> _Json:
    _print_step("1. The phone asks the broker for a session: POST /api/sessions")
    answer = await broker.send("POST", "/api/sessions", {**_BODY, **fields})
    session = _content(answer)
    limit = answer.headers.get("RateLimit", "none")
    _print_values({"session": session["sessionId"], "expires": session["expiresAt"], "limit": limit})
    return session


async def _perform(phone: _Client) -> str:
    _print_step("2. The phone performs the check with Face (simulated), using the session's token")
    digest = str(_content(await phone.send("POST", "/simulator/perform"))["digest"])
    _print_values({"digest": f"{digest[:16]}..."})
    return digest


async def _read(broker: _Client, session: _Json, digest: str) -> bool:
    _print_step("3. The phone reads the result from the broker: GET /api/sessions/{sessionId}")
    headers = {"X-Session-Token": session["authToken"], "X-Client-Digest": digest}
    result = _content(await broker.send("GET", _path(session), headers=headers))
    shown = ("status", "livenessDecision", "digestMatches", "passed")
    _print_values({name: result[name] for name in shown if name in result})
    # With RESULT_VISIBILITY=status a phone sees no decision: only the event shows that the check passed.
    return bool(result.get("passed", result["status"] == "ResultAvailable"))


async def _read_with_wrong_token(broker: _Client, session: _Json) -> bool:
    _print_step("4. Another caller tries to read the result with a wrong token")
    headers = {"X-Session-Token": "a-guess"}
    answer = await broker.send("GET", _path(session), headers=headers)
    _print_values({str(answer.status): json.loads(answer.body)["error"]["message"]})
    return answer.status == HTTPStatus.NOT_FOUND


async def _use_other_tokens(broker: _Client, session: _Json, tokens: Tokens) -> bool:
    _print_step(
        "5. A person without a grant names the transaction; a server reads the session without its token"
    )
    body = _BODY | {"clientReference": REFERENCE}
    person = await replace(broker, token=tokens.person).send("POST", "/api/sessions", body)
    server = await replace(broker, token=tokens.server).send("GET", _path(session))
    refusal, seen = json.loads(person.body).get("error", {}), json.loads(server.body)
    _print_values({"person": f"{person.status} {refusal.get('code')}, target {refusal.get('target')}"})
    _print_values({"server": f"{server.status}, passed {json.dumps(seen.get('passed'))}"})
    return (person.status, server.status) == (HTTPStatus.FORBIDDEN, HTTPStatus.OK)


def _path(session: _Json) -> str:
    return f"/api/sessions/{session['sessionId']}"


def _content(answer: HttpAnswer) -> _Json:
    """The JSON of a success; raises `_Failed`."""
    if answer.status != HTTPStatus.OK:
        raise _Failed(f"HTTP {answer.status}\n  {answer.body.decode()}")
    content: _Json = json.loads(answer.body)
    return content


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
