"""Makes the OpenAPI document from the code: routes, error catalogue, and the body of a create."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from create_session.body import DEFAULT_TOKEN_LIFETIME, MAX_NAME_LENGTH, MIN_TOKEN_LIFETIME, CreateBody
from scripts import results
from scripts.package import version
from shared.errors import (
    BrokerError,
    ClientThrottled,
    InvalidLivenessOperationMode,
    InvalidRequestBody,
    InvalidTokenLifetime,
    MethodNotAllowed,
    Unauthorized,
    UpstreamFailure,
)
from shared.face.model import LivenessMode
from shared.text import CLIENT_REFERENCE
from shared.web import catalogue, routes
from shared.web.responses import error_reply
from shared.web.routes import Route

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339 in UTC",
    "examples": ["2026-11-23T09:52:00.000Z"],
}
_ID: Final[Schema] = {
    "type": "string",
    "format": "uuid",
    "examples": ["0ba1f2d3-fa4e-4000-8000-000000000000"],
}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_FLAG_OR_NULL: Final[Schema] = {"type": ["boolean", "null"]}

_ABOUT: Final = (
    "Creates liveness sessions at Azure Face, and reads their results. An app creates a session, lets "
    "Microsoft's Vision SDK perform the check with its `authToken`, and reads the result with the SDK's "
    "`digest`. Every answer has `x-ms-request-id`. Every error has a code. At the end of "
    "[openapi.json](/api/openapi.json), `x-errors` says what an app does about each, `x-status-errors` about an "
    "answer without a code that it knows, and `x-client-errors` where no answer or no result comes. `x-results` says "
    "what each answer to a poll means, and `x-failures` what an app tells the person about an attempt without a "
    "decision. Ignore fields that you do not know: releases add some."
)
_APPS: Final = "For apps"
_SERVERS: Final = "For servers and operators"

_ANY: Final = ("InternalError", "MethodNotAllowed")
_STORE: Final = ("StorageUnavailable", "KeyUnavailable")
_FACE: Final = (
    "UpstreamFailure",
    "UpstreamUnauthorized",
    "UpstreamNotApproved",
    "UpstreamThrottled",
    "UpstreamQuotaExceeded",
    "UpstreamTimeout",
)
_CALLER: Final = ("Unauthorized", "Forbidden", "ClientThrottled")
_BODY: Final = ("LengthRequired", "RequestTooLarge", "BadArgument")
_FIELDS: Final = (
    "InvalidRequestBody",
    "InvalidTokenLifetime",
    "InvalidLivenessOperationMode",
    "InvalidDeviceCorrelationId",
    "InvalidIdempotencyKey",
)


def document() -> dict[str, Any]:
    """The document of the whole contract, OpenAPI 3.1."""
    failure = catalogue.ROW_OF[UpstreamFailure]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Face Liveness Broker",
            "version": version(),
            "description": _ABOUT,
            # The document is served by each deployment.
            "contact": {"name": "The operator of this service"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api", "description": "The service that answers with this document."}],
        "tags": [
            {"name": _APPS, "description": "The three calls of a check."},
            {"name": _SERVERS, "description": "Backends, load balancers and people who run the service."},
        ],
        "paths": _paths(),
        "components": {"schemas": _SCHEMAS, "securitySchemes": _SECURITY},
        # The tables of docs/errors.md: what an app does about an error or a result, and what it tells the person.
        "x-errors": {row.code: {"status": int(row.status), **_told(row)} for row in catalogue.CATALOGUE},
        "x-status-errors": {
            "401": _told(catalogue.ROW_OF[Unauthorized]),
            "429": _told(catalogue.ROW_OF[ClientThrottled]),
            "client": _told(catalogue.ROW_OF[InvalidRequestBody]),
            "server": _told(failure),
        },
        "x-client-errors": {
            "NoConnection": {
                **_told(failure),
                "tell": "There is no connection to the service. Please check your network, and try again.",
            },
            "NoResultYet": {"again": catalogue.Again.LATER, "atMostSeconds": 0, "tell": failure.tell},
        },
        "x-results": [
            {
                "when": row.when,
                "means": row.means,
                "outcome": row.outcome,
                "tell": row.tell,
                "tellByFailureCode": row.by_failure,
                "backend": row.backend,
            }
            for row in results.RESULTS
        ],
        "x-failures": results.FAILURES,
    }


def page() -> str:
    """The document as the text that is published."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _told(row: catalogue.CatalogueRow) -> dict[str, Any]:
    """What an app does about an error, and what it tells the person."""
    return {"again": row.again, "atMostSeconds": row.at_most, "tell": row.tell}


def _paths() -> dict[str, Any]:
    operations = (
        _operation(
            routes.CREATE_SESSION,
            "createSession",
            "Create a session",
            "The first step of a check. The service opens a session at Azure Face, and answers with the token "
            "for the Vision SDK. A repeat with the same `Idempotency-Key` gets the same session, so a create "
            "that failed or got no answer can be sent again. Give it twelve seconds: the service answers "
            "within ten.",
            answers={
                "200": _answer(
                    "The session, and the token for the Vision SDK.", "CreatedSession", _CREATED, _LIMITS
                )
            },
            errors=(*_FIELDS, *_BODY, *_CALLER, *_STORE, *_FACE, *_IDEMPOTENCY, "DeviceThrottled"),
            parameters=[_DEVICE_HEADER, _KEY_HEADER],
            body="CreateBody",
        ),
        _operation(
            routes.GET_RESULT,
            "getResult",
            "Read the result",
            "The last step of a check. Ask at once when the Vision SDK has returned, then after each "
            "`retryAfterSeconds`, until `status` is `ResultAvailable` or `Expired`, or an attempt has failed "
            "(`failure`, and `attempts` has grown). Send the digest with the first of these reads. Show "
            "`passed` to the person. What depends on it is decided by your backend, by the event of the "
            "session. Where the operator hides decisions from phones, there is no `passed`.",
            answers={"200": _answer("The state of the session.", "Result", _RESULTS, _RETRY)},
            errors=("SessionNotFound", *_CALLER, *_STORE, *_FACE),
            parameters=[_SESSION, _TOKEN_HEADER, _DIGEST_HEADER],
        ),
        _operation(
            routes.REVOKE_SESSION,
            "revokeSession",
            "Revoke a session",
            "For a person who gave up. A check that was made counts all the same. The session is deleted at "
            "Azure Face, its token stops working, and its result can no longer be read. A repeat gets the same "
            "answer.",
            answers={"204": {"description": "The session is deleted, and its token stopped working."}},
            errors=("SessionNotFound", *_CALLER, *_STORE, *_FACE),
            parameters=[_SESSION, _TOKEN_HEADER],
        ),
        _operation(
            routes.AUDIT_SESSION,
            "auditSession",
            "Read the history of a session, for servers",
            "Where callers sign in it needs a token with the role `Liveness.Operate`, else the function key. "
            "It works for revoked sessions too. Ask for the next page with the `id` of the last entry as "
            "`start`. Each `source` numbers its own entries: if it changes between two pages, start again.",
            answers={"200": _answer("A page of the history, the oldest first.", "Audit", _AUDITS)},
            errors=("InvalidStart", "InvalidTop", "SessionNotFound", *_CALLER, *_STORE, *_FACE),
            parameters=[_SESSION, *_PAGE],
            function_key=True,
        ),
        _operation(
            routes.HEALTH,
            "health",
            "Whether the app runs",
            "For load balancers. It calls no dependency, and names the release.",
            answers={"200": _answer("It runs; no dependency was called.", "Health", _HEALTH)},
        ),
        _operation(
            routes.READY,
            "ready",
            "Whether each dependency answers",
            "For operators. It asks Azure Face, the store, the queue, the secrets and, with sign-in, the issuers.",
            answers={
                "200": _answer("All dependencies answer.", "Ready", {"ready": _readiness("ready")}),
                "503": _answer("One of them does not.", "Ready", {"not ready": _readiness("notReady")}),
            },
            function_key=True,
        ),
    )
    paths: dict[str, Any] = {}
    for path, method, operation in operations:
        paths.setdefault(path, {})[method] = operation
    return paths


def _operation(
    route: Route,
    name: str,
    summary: str,
    description: str,
    *,
    answers: Mapping[str, Any],
    errors: Iterable[str] = (),
    parameters: Iterable[Schema] = (),
    body: str | None = None,
    function_key: bool = False,
) -> tuple[str, str, dict[str, Any]]:
    """One operation; HEAD, where the route has it, is GET without a body, and is not listed."""
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": description,
        "tags": [_SERVERS if function_key or not errors else _APPS],
        "parameters": list(parameters),
        "responses": {**answers, **_errors((*errors, *_ANY)), **(_NO_KEY if function_key else {})},
        "security": [
            *([{"functionKey": []}] if function_key else []),
            *([{}] if errors and not function_key else []),
            *([{"bearer": []}] if errors else []),
        ],
    }
    if body:
        operation["requestBody"] = {"required": True, "content": _json(body, _REQUESTS)}
    return f"/{route.path}", route.methods[0].lower(), operation


def _answer(
    description: str, schema: str, examples: Mapping[str, Schema], headers: Mapping[str, Any] | None = None
) -> Schema:
    return {
        "description": description,
        "headers": {**(headers or {}), **_REQUEST_ID},
        "content": _json(schema, examples),
    }


def _json(schema: str, examples: Mapping[str, Schema]) -> Schema:
    """A body by its schema; `examples` has each by its summary."""
    named = {
        summary.replace(" ", "-"): {"summary": summary, "value": value} for summary, value in examples.items()
    }
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": named}}


def _errors(codes: Iterable[str]) -> dict[str, Any]:
    """One response for each status, with the codes that it may have and what a phone does about each."""
    rows = [row for row in catalogue.CATALOGUE if row.code in set(codes)]
    found: dict[str, Any] = {}
    for row in sorted(rows, key=lambda row: row.status):
        reply = error_reply(_example(row), _EXAMPLE_REQUEST)
        response = found.setdefault(
            str(row.status),
            {"description": "", "headers": dict(_REQUEST_ID), "content": _json("Error", {})},
        )
        response["description"] += f"`{row.code}`: {row.what_to_do}\n"
        response["headers"] |= {name: _ERROR_HEADERS[name] for name in reply.headers}
        response["content"]["application/json"]["examples"][row.code] = {"value": reply.body}
    return found


def _example(row: catalogue.CatalogueRow) -> BrokerError:
    """An error of this kind; its wait is an example where it always has one."""
    error = _EXAMPLES.get(row.error) or row.error()
    if row.status in _WITH_RETRY:
        error.retry_after = 26
    return error


def _header(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": properties}


def _said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "type": [schema["type"], "null"], "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


_NO_KEY: Final = {
    "401": {"description": "Without the function key, by the platform: no body. Else `Unauthorized`."}
}
_WITH_RETRY: Final = (409, 429, 503)
_IDEMPOTENCY: Final = ("IdempotencyInProgress", "IdempotencyKeyReused")
_REQUEST_ID: Final = {"x-ms-request-id": {"description": "Quote it to the operator.", "schema": _TEXT}}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": _COUNT}}
_ERROR_HEADERS: Final = {
    **_RETRY,
    "x-ms-error-code": {"description": "The code of the error.", "schema": _TEXT},
    "WWW-Authenticate": {"description": "What is wrong with the token (RFC 6750).", "schema": _TEXT},
    "Allow": {"description": "The methods of the path.", "schema": _TEXT},
}
_EXAMPLES: Final[Mapping[type[BrokerError], BrokerError]] = {
    InvalidRequestBody: InvalidRequestBody("onBehalfOf must be a string.", target="onBehalfOf"),
    InvalidTokenLifetime: InvalidTokenLifetime(86_400),
    InvalidLivenessOperationMode: InvalidLivenessOperationMode(["Passive"]),
    MethodNotAllowed: MethodNotAllowed(["GET", "HEAD"]),
}
_EXAMPLE_REQUEST: Final = "7f3f1c0e-8d34-4c55-9a66-1f6a3f0c8a10"
_LIMITS: Final = {
    name: {"description": "The limits of the device (draft-ietf-httpapi-ratelimit-headers).", "schema": _TEXT}
    for name in ("RateLimit-Policy", "RateLimit")
}
_SESSION: Final = {
    "name": "sessionId",
    "in": "path",
    "required": True,
    "description": "The `sessionId` of the create.",
    "schema": _ID,
}
_TOKEN_HEADER: Final = _header("X-Session-Token", "The `authToken` of the session.", _TEXT)
_DIGEST_HEADER: Final = _header("X-Client-Digest", "The digest that the Vision SDK returned.", _TEXT)
_DEVICE_HEADER: Final = _header(
    "X-Device-Correlation-Id",
    "The device id, where `deviceCorrelationIdSetInClient` is true.",
    {"type": "string", "minLength": 1, "maxLength": 64},
)
_KEY_HEADER: Final = _header(
    "Idempotency-Key",
    "A new one for each new check: a repeat with the same key gets the same session.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,128}$"},
)
_PAGE: Final = [
    {
        "name": "start",
        "in": "query",
        "schema": {**_COUNT, "default": 0},
        "description": "The last entry read.",
    },
    {
        "name": "top",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000},
        "description": "The most entries to return.",
    },
]
_SECURITY: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Where callers sign in: an access token of a person, of a person for one transaction, or of "
        "a server (role `Liveness.Operate`).",
    },
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "A function key of the Azure Functions app. The operator has it.",
    },
}
_DECISION: Final[Schema] = {"type": "string", "enum": ["realface", "spoofface", "uncertain"]}
_SESSION_ID: Final = "0ba1f2d3-fa4e-4000-8000-000000000000"
_REQUESTS: Final[Mapping[str, Schema]] = {
    "a device": {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": "7a1c5b9e-2f64-4d8a-9c3b-5e0d1f2a3b4c",
    },
    "a device that names itself": {
        "livenessOperationMode": "PassiveActive",
        "deviceCorrelationIdSetInClient": True,
        "authTokenTimeToLiveInSeconds": 300,
    },
    "a server for a person": {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": "7a1c5b9e-2f64-4d8a-9c3b-5e0d1f2a3b4c",
        "clientReference": "order:4711",
        "onBehalfOf": "customer-7",
    },
}
_CREATED: Final[Mapping[str, Schema]] = {
    "created": {
        "sessionId": _SESSION_ID,
        "authToken": "eyJhbGciOiJFUzI1NiJ9.eyJzaWQiOiIwYmExZjJkMyJ9.c2lnbmF0dXJl",
        "expiresAt": "2026-11-23T09:52:00.000Z",
        "resultUrl": f"https://liveness.example.com/api/sessions/{_SESSION_ID}",
    }
}
_STATE: Final[Schema] = {
    "sessionId": _SESSION_ID,
    "status": "NotStarted",
    "createdDateTime": "2026-11-23T09:42:00.000Z",
    "expiresAt": "2026-11-23T09:52:00.000Z",
}
_UNDECIDED: Final[Schema] = _STATE | {
    "livenessDecision": None,
    "passed": False,
    "digestMatches": None,
    "abuseDetected": None,
    "attempts": 0,
    "failure": None,
}
_MASK: Final = {"code": "FaceWithMaskDetected", "message": "Mask detected on face image."}
_PASSED: Final[Schema] = {
    "status": "ResultAvailable",
    "livenessDecision": "realface",
    "passed": True,
    "digestMatches": True,
    "attempts": 1,
}
_RESULTS: Final[Mapping[str, Schema]] = {
    "passed": _UNDECIDED | _PASSED,
    "not passed": _UNDECIDED | _PASSED | {"livenessDecision": "spoofface", "passed": False},
    "not started": _UNDECIDED | {"retryAfterSeconds": 2},
    "an attempt failed and another is allowed": _UNDECIDED
    | {"status": "Started", "attempts": 1, "failure": _MASK, "retryAfterSeconds": 2},
    "expired": _UNDECIDED | {"status": "Expired"},
    "decisions are hidden from phones": _STATE | {"status": "ResultAvailable"},
}
_STEP: Final[Schema] = {
    "requestId": None,
    "clientRequestId": None,
    "request": {"method": None, "url": None},
    "response": {"statusCode": None, "latencyInMilliseconds": None},
    "livenessDecision": None,
    "failure": None,
    "digest": None,
    "digestMatches": None,
    "decisions": [],
    "abuseDetected": None,
    "flaggedSessions": [],
    "clientInformation": [],
}
_FACE_REQUEST_ID: Final = "6461837f-469e-4329-8070-d051d92565f4"
_DIGEST: Final = "1A59E6E433F8080EADE7BCC691E8D9E1E236225088D1A041FBDB0A307F993001"
_AUDITS: Final[Mapping[str, Schema]] = {
    "the record": {
        "sessionId": _SESSION_ID,
        "source": "record",
        "entries": [
            {"id": 1, "event": "created", "receivedDateTime": "2026-11-23T09:42:00.000Z"} | _STEP,
            {"id": 2, "event": "completed", "receivedDateTime": "2026-11-23T09:42:31.000Z"}
            | _STEP
            | {
                "requestId": _FACE_REQUEST_ID,
                "livenessDecision": "realface",
                "digest": _DIGEST,
                "digestMatches": True,
                "decisions": ["realface"],
            },
        ],
    },
    "the attempts at Face": {
        "sessionId": _SESSION_ID,
        "source": "upstream",
        "entries": [
            {"id": 2, "event": "attempt", "receivedDateTime": "2026-11-23T09:42:29.000Z"}
            | _STEP
            | {
                "requestId": _FACE_REQUEST_ID,
                "request": {"method": "POST", "url": "/face/v1.1-preview.1/detectliveness/singlemodal"},
                "response": {"statusCode": 200, "latencyInMilliseconds": 1200},
                "livenessDecision": "realface",
                "digest": _DIGEST,
            }
        ],
    },
}
_HEALTH: Final[Mapping[str, Schema]] = {
    "healthy": {
        "status": "healthy",
        "version": version(),
        "commit": "a3fe0494d0a4c1b7e9f1a7c6d2b5e8f90a1b2c3d",
    }
}


def _readiness(status: str) -> Schema:
    dependencies = [
        {"name": name, "state": "available", "problem": None}
        for name in ("face", "storage", "queue", "secrets", "signIn")
    ]
    if status == "notReady":
        dependencies[0] |= {"state": "unavailable", "problem": "UpstreamTimeout"}
    return {"status": status, "faceApiVersion": "v1.2", "dependencies": dependencies}


_FAILURE: Final = _or_null(_object({"code": _TEXT, "message": _TEXT}))


def _create_body() -> Schema:
    """The body of a create: its fields from the model, and what the code demands of their values."""
    properties = {field.alias: _BODY_FIELDS[str(field.alias)] for field in CreateBody.model_fields.values()}
    schema = _object({}, {str(name): _or_null(field) for name, field in properties.items()})
    schema["properties"]["livenessOperationMode"] = _BODY_FIELDS["livenessOperationMode"]
    return schema | {
        "required": ["livenessOperationMode"],
        "additionalProperties": False,
    }


_BODY_FIELDS: Final[dict[str, Schema]] = {
    "livenessOperationMode": {
        "type": "string",
        "enum": [mode.value for mode in LivenessMode],
        "description": "`PassiveActive` from Face `v1.2` on.",
    },
    "deviceCorrelationId": {
        "type": "string",
        "pattern": "^[!-~]([ -~]{0,62}[!-~])?$",
        "description": "A random id of this installation. Required, unless the next is true.",
    },
    "deviceCorrelationIdSetInClient": {
        "type": "boolean",
        "description": "True if the device names itself in `X-Device-Correlation-Id`. Default false.",
    },
    "authTokenTimeToLiveInSeconds": {
        "type": "integer",
        "minimum": MIN_TOKEN_LIFETIME,
        "maximum": 86400,
        "description": f"Default {DEFAULT_TOKEN_LIFETIME}. The operator may set a lower maximum.",
    },
    "sendResultsToClient": {
        "type": "boolean",
        "description": "Whether Face sends the decision to the phone, if the operator allows it. Default false.",
    },
    "clientReference": {
        "type": "string",
        "pattern": f"^{CLIENT_REFERENCE.pattern}$",
        "description": "The transaction that the check is for. The access token may have to name it.",
    },
    "onBehalfOf": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_LENGTH,
        "description": "The person that a server creates the session for. Printable characters.",
    },
}
_SCHEMAS: Final = {
    "CreateBody": _create_body(),
    "CreatedSession": _object(
        {
            "sessionId": _ID,
            "authToken": _said(_TEXT, "For the Vision SDK, and for the header `X-Session-Token`."),
            "expiresAt": _said(_TIME, "The end of the token."),
            "resultUrl": _said({**_TEXT, "format": "uri"}, "Where the result is read."),
        }
    ),
    "Result": _object(
        {
            "sessionId": _ID,
            "status": _said(
                {"type": "string", "enum": ["NotStarted", "Started", "ResultAvailable", "Expired"]},
                "`ResultAvailable` and `Expired` are final.",
            ),
            "createdDateTime": _TIME,
            "expiresAt": _TIME,
        },
        {
            "livenessDecision": _said(_or_null(_DECISION), "What Face decided; null without a decision."),
            "passed": _said({"type": "boolean"}, "Whether the check passed: the one field to act on."),
            "digestMatches": _said(
                _FLAG_OR_NULL, "Whether the phone's digest is that of Face; null if none was compared."
            ),
            "abuseDetected": _said(_FLAG_OR_NULL, "Whether Face suspects abuse; null if it does not say."),
            "attempts": _said(_COUNT, "How many attempts the phone made."),
            "failure": _said(_FAILURE, "Why the last attempt ended without a decision, or null."),
            "retryAfterSeconds": _said(
                {"type": "integer", "minimum": 1}, "When to ask again; absent when the result is final."
            ),
        },
    ),
    "Audit": _object(
        {
            "sessionId": _ID,
            "source": {"type": "string", "enum": ["upstream", "record"]},
            "entries": {
                "type": "array",
                "items": _object(
                    {"id": _COUNT, "event": _TEXT, "receivedDateTime": _TIME},
                    {
                        "requestId": _or_null(_TEXT),
                        "clientRequestId": _or_null(_TEXT),
                        "request": _object({"method": _or_null(_TEXT), "url": _or_null(_TEXT)}),
                        "response": _object(
                            {
                                "statusCode": {"type": ["integer", "null"]},
                                "latencyInMilliseconds": {"type": ["integer", "null"]},
                            }
                        ),
                        "livenessDecision": _or_null(_DECISION),
                        "failure": _FAILURE,
                        "digest": _or_null(_TEXT),
                        "digestMatches": _FLAG_OR_NULL,
                        "decisions": {"type": "array", "items": _TEXT},
                        "abuseDetected": _FLAG_OR_NULL,
                        "flaggedSessions": {"type": "array", "items": _TEXT},
                        "clientInformation": {"type": "array", "items": _object({"ip": _TEXT})},
                    },
                ),
            },
        }
    ),
    "Health": _object(
        {
            "status": {"type": "string", "enum": ["healthy"]},
            "version": _or_null(_TEXT),
            "commit": _or_null(_TEXT),
        }
    ),
    "Ready": _object(
        {
            "status": {"type": "string", "enum": ["ready", "notReady"]},
            "faceApiVersion": _TEXT,
            "dependencies": {
                "type": "array",
                "items": _object(
                    {
                        "name": _TEXT,
                        "state": {"type": "string", "enum": ["available", "unavailable"]},
                        "problem": _or_null(_TEXT),
                    }
                ),
            },
        }
    ),
    "Error": _object(
        {
            "error": _object(
                {"code": _TEXT, "message": _TEXT, "requestId": _ID},
                {
                    "target": _TEXT,
                    "details": {
                        "type": "array",
                        "items": _object({"code": _TEXT, "message": _TEXT}, {"target": _TEXT}),
                    },
                    "retryAfterSeconds": {"type": "integer", "minimum": 1},
                },
            )
        }
    ),
}
