"""The frame around every HTTP trigger: a request id, the body, one response, and where errors become responses."""

import asyncio
import codecs
import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Any

import azure.functions as func

from shared.access import Caller
from shared.app import App, current_app
from shared.errors import (
    WAITED_FOR_FACE,
    BrokerError,
    IdempotencyInProgress,
    InternalError,
    InvalidMediaType,
    InvalidRequestBody,
    KeyUnavailable,
    LengthRequired,
    RequestRefused,
    RequestTooLarge,
    StorageUnavailable,
    Throttled,
    Unauthorized,
    UpstreamTimeout,
)
from shared.telemetry import Field, log_event
from shared.text import parse_json
from shared.values import immutable
from shared.web import origins
from shared.web.client_address import UNVOUCHED, client_network
from shared.web.responses import Reply, error_reply, render

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 4096

TOTAL_SECONDS = 10.0
"""The longest that a caller waits for any answer, sign-in included."""

_LENGTH = re.compile("[0-9]{1,9}")
_CHARSET = re.compile(r'charset\s*=\s*"?([^"]*?)"?', re.IGNORECASE)
_UTF8 = ("", "utf-8", "utf8")


@immutable
class Context:
    """What a handler works with: the request, the app, the id that response and log name, and the caller.

    At `deadline`, in the event loop's time, the handler is cancelled.
    """

    request: func.HttpRequest
    app: App
    request_id: str
    deadline: float
    caller: Caller = field(default_factory=Caller)

    def header(self, name: str) -> str | None:
        """One header field, or None where it is absent; repeats arrive joined by commas."""
        value: str | None = self.request.headers.get(name)
        return value


Handler = Callable[[Context], Awaitable[Reply]]


async def respond(
    request: func.HttpRequest,
    operation: str,
    handle: Handler,
    *,
    open_to_all: bool = False,
    quiet: bool = False,
) -> func.HttpResponse:
    """Run a trigger's handler. Every error becomes a response of the contract and one log event.

    The caller is known before the handler runs, and so before it reads the body, except where a route is
    `open_to_all`. `quiet` is for health probes, whose calls would hide the others in the log.
    """
    request_id = str(uuid.uuid4())
    started = time.perf_counter()
    built: App | None = None
    network = pseudonym = None
    of_origin: Mapping[str, str] = {}
    try:
        app = built = current_app()
        network = client_network(request.headers, app.settings.client_address, app.settings.front_door_id)
        if allowed := app.settings.allowed_origins:
            of_origin = origins.of_answer(request.headers.get("Origin"), allowed)
        deadline = asyncio.get_running_loop().time() + TOTAL_SECONDS
        waits_for: type[BrokerError] = KeyUnavailable
        with app.background_log.invocation():
            try:
                async with asyncio.timeout_at(deadline) as limit:
                    caller = Caller() if open_to_all else await _caller(app, request, network, request_id)
                    if caller.principal:
                        pseudonym = await caller.pseudonym(app.pseudonyms)
                    waits_for = StorageUnavailable
                    reply = await handle(Context(request, app, request_id, deadline, caller))
            except TimeoutError as late:
                if not limit.expired():
                    raise
                at_face = WAITED_FOR_FACE in getattr(late.__cause__, "__notes__", ())
                raise (UpstreamTimeout if at_face else waits_for)("the request took too long") from late
    except BrokerError as error:
        await _log_error(app, network, request_id, operation, pseudonym, error)
        reply = error_reply(error, request_id)
    except Exception as fault:
        # Only the type: the text of an exception can hold what a caller or the upstream sent.
        details = {"requestId": request_id, "fault": type(fault).__name__, "frames": _frames(fault)}
        if built is None:
            log_event(_log, logging.ERROR, "internal_error", **details)
        else:
            kind = (operation, details["frames"])
            built.flood_log.write(_log, logging.ERROR, "internal_error", kind, None, **details)
        reply = error_reply(InternalError(), request_id)
    ended: dict[str, Field] = {
        "operation": operation,
        "requestId": request_id,
        "caller": pseudonym,
        "status": int(reply.status),
        "milliseconds": round((time.perf_counter() - started) * 1000, 1),
    }
    if quiet or built is None:
        log_event(_log, logging.DEBUG if quiet else logging.INFO, "request_ended", **ended)
    else:
        who = pseudonym or await _address(built, network)
        kind = (operation, str(int(reply.status)))
        built.flood_log.write(_log, logging.INFO, "request_ended", kind, who, **ended)
    return render(reply, request_id, request.url, of_origin)


def json_body(request: func.HttpRequest) -> dict[str, Any]:
    """Read the JSON object in the body.

    Raises `LengthRequired`, `RequestTooLarge`, `InvalidMediaType` or `InvalidRequestBody`.
    """
    body = request.get_body() or b""
    length = request.headers.get("Content-Length", "")
    if _LENGTH.fullmatch(length):
        announced = int(length)
    elif body:
        announced = len(body)
    else:
        # The platform may deliver a body in chunks as an empty one.
        raise LengthRequired
    if max(announced, len(body)) > MAX_BODY_BYTES:
        raise RequestTooLarge
    if not _is_json(request.headers):
        raise InvalidMediaType
    try:
        # RFC 8259, section 8.1: a reader may ignore the byte order mark that some serializers write.
        parsed = parse_json(body.removeprefix(codecs.BOM_UTF8))
    except ValueError as fault:
        raise InvalidRequestBody(_problem_of_json(fault), target="body") from fault
    if not isinstance(parsed, dict):
        raise InvalidRequestBody("The body is not a JSON object.", target="body")
    return parsed


def _problem_of_json(fault: ValueError) -> str:
    """What the caller is told: where the fault is, or what it is, but nothing that the body holds."""
    if isinstance(fault, json.JSONDecodeError):
        return f"The body is not JSON: line {fault.lineno}, column {fault.colno}."
    if isinstance(fault, UnicodeError):
        return "The body is not UTF-8."
    return f"The body is not strict JSON: {fault}."


def _is_json(headers: Mapping[str, str]) -> bool:
    """Whether the body is JSON in UTF-8, however that is spelled; unknown parameters count for nothing."""
    media_type, *parameters = headers.get("Content-Type", "").split(";")
    charsets = [found[1] for one in parameters if (found := _CHARSET.fullmatch(one.strip()))]
    return (
        media_type.strip().lower() == "application/json"
        and all(charset.strip().lower() in _UTF8 for charset in charsets)
        and headers.get("Content-Encoding", "").strip().lower() in ("", "identity")
    )


async def _caller(app: App, request: func.HttpRequest, network: str | None, request_id: str) -> Caller:
    """The caller, as far as its token and the platform vouch for it. `X-MS-CLIENT-PRINCIPAL` is never read."""
    if network == UNVOUCHED:
        app.flood_log.write(_log, logging.WARNING, "client_address_unvouched", (), None, requestId=request_id)
    if app.sign_in is None:
        return Caller(network=network)
    try:
        return await app.sign_in.caller(request.headers.get("Authorization"), network)
    except (Unauthorized, KeyUnavailable) as error:
        if error.charged_as_miss:
            await app.access.charge_miss(Caller(network=network))
        raise


async def _log_error(
    app: App,
    network: str | None,
    request_id: str,
    operation: str,
    caller: str | None,
    error: BrokerError,
) -> None:
    """Log why a request failed, and who sent it, or count it as part of a flood."""
    expected = isinstance(error, RequestRefused | Throttled | IdempotencyInProgress)
    address = await _address(app, network)
    app.flood_log.write(
        _log,
        logging.INFO if expected else logging.WARNING,
        "request_refused" if expected else "dependency_failed",
        (operation, error.code),
        caller or address,
        operation=operation,
        requestId=request_id,
        device=error.device,
        caller=caller,
        address=address,
        code=error.code,
        detail=error.detail or None,
        upstreamRequestId=error.upstream_request_id,
    )


async def _address(app: App, network: str | None) -> str | None:
    """The pseudonym of the address that a request came from, or None where the pepper cannot be read."""
    with suppress(KeyUnavailable):
        return await app.pseudonyms.of_address(network)
    return None


def _frames(fault: BaseException) -> str:
    """The innermost frames as file:line, which find the fault and hold no value."""
    frames = traceback.extract_tb(fault.__traceback__)[-5:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
