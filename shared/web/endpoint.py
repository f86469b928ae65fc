"""The frame around every trigger: a request id, one reply, and the seam where failures become answers."""

import logging
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import azure.functions as func

from shared.app import App, current_app
from shared.errors import BrokerError, IdempotencyInProgress, InternalError, RequestRefused, Throttled
from shared.telemetry import log_event
from shared.web.responses import Reply, error_reply, render

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a trigger."""

    request: func.HttpRequest
    app: App
    request_id: str


Handler = Callable[[Call], Awaitable[Reply]]


async def respond(
    request: func.HttpRequest, operation: str, handle: Handler, *, quiet: bool = False
) -> func.HttpResponse:
    """Run a trigger's handler; every failure becomes an answer in the contract's shape, and one log event.

    `quiet` is for what is called so often, and says so little, that its calls would hide the others in the log.
    """
    request_id = str(uuid.uuid4())
    started = time.perf_counter()
    try:
        reply = await handle(Call(request, current_app(), request_id))
    except BrokerError as error:
        _log_refusal(operation, request_id, error)
        reply = error_reply(error, request_id)
    except Exception as fault:
        # Only the type: the text of an exception can hold what a caller or the upstream sent.
        log_event(
            _log,
            logging.ERROR,
            "internal_error",
            requestId=request_id,
            fault=type(fault).__name__,
            frames=_frames(fault),
        )
        reply = error_reply(InternalError(), request_id)
    log_event(
        _log,
        logging.DEBUG if quiet else logging.INFO,
        "request_ended",
        operation=operation,
        requestId=request_id,
        status=int(reply.status),
        milliseconds=round((time.perf_counter() - started) * 1000, 1),
    )
    return render(reply, request_id)


def _log_refusal(operation: str, request_id: str, error: BrokerError) -> None:
    expected = isinstance(error, RequestRefused | Throttled | IdempotencyInProgress)
    log_event(
        _log,
        logging.INFO if expected else logging.WARNING,
        "request_refused" if expected else "dependency_failed",
        operation=operation,
        requestId=request_id,
        code=error.code,
        detail=error.detail or None,
        upstreamRequestId=error.upstream_request_id,
    )


def _frames(fault: BaseException) -> str:
    """The innermost frames as file:line, which find the fault and hold no value."""
    frames = traceback.extract_tb(fault.__traceback__)[-5:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
