"""Makes docs/liveness.http and docs/postman_collection.json from the OpenAPI document: each call of one check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scripts import openapi

# A reader fills these in; the first three are printed by `make run`.
_FILL_IN: Final = "The line `readiness` of `make run` has the function key. Each run sends another device id."
_VARIABLES: Final = {
    "broker": "http://127.0.0.1:7071",
    "simulator": "http://127.0.0.1:7072",
    "functionKey": "the-key-that-make-run-prints",
    "accessToken": "needed-where-callers-sign-in",
    "device": "sim-realface",
}
_ORDER: Final = ("health", "createSession", "perform", "getResult", "auditSession", "revokeSession", "ready")
# What later requests take from the answer of an earlier one.
_TAKEN: Final = {"createSession": ("sessionId", "authToken"), "perform": ("digest",)}
_HEADERS: Final = {
    "X-Session-Token": "{{authToken}}",
    "X-Client-Digest": "{{digest}}",
    "Idempotency-Key": "{{$guid}}",
}
_SECURITY: Final = {
    "bearer": {"Authorization": "Bearer {{accessToken}}"},
    "functionKey": {"x-functions-key": "{{functionKey}}"},
}


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    summary: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None
    status: int
    """Of the answer when all goes well."""


def http_file() -> str:
    """The requests for httpyac, also in VS Code."""
    lines = [
        "# Made by `make reference`. Each call of one check, for httpyac: `httpyac send docs/liveness.http --all`.",
        f"# Fill in the values of your run here. {_FILL_IN}",
        *(f"@{name} = {value}" for name, value in _VARIABLES.items()),
    ]
    for request in _requests():
        lines += [
            "",
            f"### {request.summary}",
            f"# @name {request.name}",
            f"{request.method} {_from_answers(request.url)}",
            *(f"{name}: {_from_answers(value)}" for name, value in request.headers.items()),
        ]
        if request.body is not None:
            lines += ["", json.dumps(request.body, indent=2)]
        lines += ["", f"?? status == {request.status}"]
    return "\n".join([*lines, ""])


def postman_collection() -> str:
    """The requests as a Postman collection, format 2.1."""
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    collection = {
        "info": {
            "name": "Face Liveness Broker",
            "description": "Made by `make reference`. Each call of one check, in order: run the whole collection. "
            "For another port: `newman run docs/postman_collection.json --env-var broker=http://127.0.0.1:8071`, and "
            f"so on for each variable. {_FILL_IN}",
            "schema": schema,
        },
        "variable": [{"key": name, "value": value} for name, value in _VARIABLES.items()],
        "item": [_item(request) for request in _requests()],
    }
    return json.dumps(collection, indent=2) + "\n"


def _item(request: _Request) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "method": request.method,
        "header": [{"key": name, "value": value} for name, value in request.headers.items()],
        "url": request.url,
    }
    if request.body is not None:
        sent["body"] = {"mode": "raw", "raw": json.dumps(request.body, indent=2)}
    script = [
        f'pm.test("the status is {request.status}", () => pm.response.to.have.status({request.status}));',
        *(
            f'pm.collectionVariables.set("{field}", pm.response.json().{field});'
            for field in _TAKEN.get(request.name, ())
        ),
    ]
    test = {"listen": "test", "script": {"type": "text/javascript", "exec": script}}
    return {"name": f"{request.name}: {request.summary}", "request": sent, "event": [test]}


def _requests() -> Sequence[_Request]:
    document = openapi.document()
    [server] = document["servers"]
    found = {
        operation["operationId"]: _request(f"{{{{broker}}}}{server['url']}{path}", method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    found["perform"] = _Request(
        "perform",
        "The phone's Vision SDK and the person, as the simulator plays them",
        "POST",
        "{{simulator}}/simulator/perform",
        {"Authorization": "Bearer {{authToken}}"},
        None,
        200,
    )
    if found.keys() != set(_ORDER):
        raise ValueError("An operation has no place in the order.")
    return [found[name] for name in _ORDER]


def _request(url: str, method: str, operation: Mapping[str, Any]) -> _Request:
    parameters = operation["parameters"]
    query = "&".join(
        f"{each['name']}={each['schema']['default']}" for each in parameters if each["in"] == "query"
    )
    headers = {each["name"]: _HEADERS[each["name"]] for each in parameters if each["name"] in _HEADERS}
    for each in operation["security"]:
        for scheme in each:
            headers |= _SECURITY[scheme]
    body = None
    if "requestBody" in operation:
        headers["Content-Type"] = "application/json"
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "{{device}}.{{$guid}}"}
    return _Request(
        operation["operationId"],
        operation["summary"],
        method.upper(),
        url.replace("{sessionId}", "{{sessionId}}") + (f"?{query}" if query else ""),
        headers,
        body,
        min(int(status) for status in operation["responses"]),
    )


def _from_answers(text: str) -> str:
    """Name the request whose answer has a value, as httpyac wants it."""
    for name, fields in _TAKEN.items():
        for field in fields:
            text = text.replace(f"{{{{{field}}}}}", f"{{{{{name}.{field}}}}}")
    return text
