"""Makes docs/liveness.http and docs/postman_collection.json from the OpenAPI document: each call of one check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from local.broker import FUNCTION_KEY
from scripts import openapi
from shared.access import OPERATE

# Those of `make run`.
_VARIABLES: Final = {
    "broker": "http://127.0.0.1:7071",
    "simulator": "http://127.0.0.1:7072",
    "issuer": "http://127.0.0.1:7073",
    "functionKey": FUNCTION_KEY,
    "device": "sim-realface",
}
# By the variable that later requests send.
_TOKEN_OF: Final = {"accessToken": "phoneSignsIn", "serverToken": "serverSignsIn"}
_ORDER: Final = (
    *_TOKEN_OF.values(),
    *("health", "createSession", "perform", "getResult", "auditSession", "revokeSession", "ready"),
)
# What later requests take from the answer of an earlier one.
_TAKEN: Final = {"createSession": ("sessionId", "authToken"), "perform": ("digest",)}
_HEADERS: Final = {
    "X-Session-Token": "{{authToken}}",
    "X-Client-Digest": "{{digest}}",
    "Idempotency-Key": "{{$guid}}",
}
_ELSEWHERE: Final = (
    "For another service write its addresses, its function key, and tokens of your own in the variables."
)


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    summary: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None
    status: int = 200
    """Of the answer when all goes well."""


def http_file() -> str:
    """The requests for httpyac, also in VS Code."""
    lines = [
        "# Made by `make reference`. Each call of one check, for `make run`: `httpyac send docs/liveness.http --all`.",
        "# With `make run AUTH=jwt` add `--var auth=jwt`, or the line `@auth = jwt` in an editor.",
        "# Each variable yields to one of the command line, such as `--var broker=http://127.0.0.1:8071`.",
        f"# {_ELSEWHERE}",
        *(
            f'@{name} = {{{{typeof {name} === "undefined" ? "{value}" : {name}}}}}'
            for name, value in _VARIABLES.items()
        ),
        *(
            f'@{variable} := {{{{typeof {name} === "undefined" ? "" : {name}.access_token}}}}'
            for variable, name in _TOKEN_OF.items()
        ),
    ]
    for request in _requests():
        signs_in = request.name in _TOKEN_OF.values()
        sent = [request.url, *request.headers.values()]
        needed = [
            name
            for name, fields in _TAKEN.items()
            if any(f"{{{{{each}}}}}" in text for each in fields for text in sent)
        ]
        lines += [
            "",
            f"### {request.summary}",
            f"# @name {request.name}",
            *(f"# @ref {name}" for name in needed),
            *(['# @disabled typeof auth === "undefined" || auth !== "jwt"'] if signs_in else []),
            f"{request.method} {_from_answers(request.url)}",
            *(f"{name}: {_from_answers(value)}" for name, value in request.headers.items()),
        ]
        if request.body is not None:
            lines += ["", request.body]
        lines += ["", f"?? status == {request.status}"]
    return "\n".join([*lines, ""])


def postman_collection() -> str:
    """The requests as a Postman collection, format 2.1."""
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    collection = {
        "info": {
            "name": "Face Liveness Broker",
            "description": "Made by `make reference`. Each call of one check, for `make run`: run the collection, "
            "in order. With `make run AUTH=jwt` the variable `auth` is `jwt`: `newman run "
            "docs/postman_collection.json --env-var auth=jwt`. " + _ELSEWHERE,
            "schema": schema,
        },
        "variable": [
            {"key": name, "value": value}
            for name, value in (_VARIABLES | {"auth": "none"} | dict.fromkeys(_TOKEN_OF, "")).items()
        ],
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
        sent["body"] = {"mode": "raw", "raw": request.body}
    taken = {field: field for field in _TAKEN.get(request.name, ())}
    before = []
    if variables := [variable for variable, name in _TOKEN_OF.items() if name == request.name]:
        taken = dict.fromkeys(variables, "access_token")
        before = [
            _script("prerequest", ['if (pm.variables.get("auth") !== "jwt") pm.execution.skipRequest();'])
        ]
    test = [
        f'pm.test("the status is {request.status}", () => pm.response.to.have.status({request.status}));',
        *(
            f'pm.collectionVariables.set("{name}", pm.response.json().{field});'
            for name, field in taken.items()
        ),
    ]
    name = f"{request.name}: {request.summary}"
    return {"name": name, "request": sent, "event": [*before, _script("test", test)]}


def _script(listen: str, lines: Sequence[str]) -> dict[str, Any]:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": lines}}


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
    )
    # Each run is another person and another transaction: both have limits.
    grant = {"sub": "anna.{{$guid}}", "client_reference": "order:{{$guid}}"}
    found["phoneSignsIn"] = _sign_in("phoneSignsIn", "A token for a person's check of one transaction", grant)
    found["serverSignsIn"] = _sign_in(
        "serverSignsIn", "A token for a server", {"sub": "shop", "role": OPERATE}
    )
    if found.keys() != set(_ORDER):
        raise ValueError("An operation has no place in the order.")
    return [found[name] for name in _ORDER]


def _sign_in(name: str, summary: str, form: Mapping[str, str]) -> _Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form, safe="{}$:")
    return _Request(name, f"{summary}, where callers sign in", "POST", "{{issuer}}/token", headers, body)


def _request(url: str, method: str, operation: Mapping[str, Any]) -> _Request:
    parameters = operation["parameters"]
    query = "&".join(
        f"{each['name']}={each['schema']['default']}" for each in parameters if each["in"] == "query"
    )
    headers = {each["name"]: _HEADERS[each["name"]] for each in parameters if each["name"] in _HEADERS}
    schemes = {scheme for each in operation["security"] for scheme in each}
    if "functionKey" in schemes:
        headers["x-functions-key"] = "{{functionKey}}"
    if "bearer" in schemes:
        # What needs a function key where nobody signs in is for servers.
        headers["Authorization"] = (
            f"Bearer {{{{{'serverToken' if 'functionKey' in schemes else 'accessToken'}}}}}"
        )
    body = None
    if "requestBody" in operation:
        headers["Content-Type"] = "application/json"
        fields = {"livenessOperationMode": "Passive", "deviceCorrelationId": "{{device}}.{{$guid}}"}
        body = json.dumps(fields, indent=2)
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
