"""Calls of Face: with the credential and within the budget, repeated under one deadline. No other layer retries."""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.errors import (
    WAITED_FOR_FACE,
    KeyUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamSessionGone,
    UpstreamTimeout,
)
from shared.face.answers import UpstreamRequest, request_id_of
from shared.face.budget import Budget, Lane
from shared.face.model import FaceCredential
from shared.face.refusals import refusal
from shared.http_port import Http, HttpAnswer, NoAnswer
from shared.keys.secret import Secret
from shared.telemetry import log_event
from shared.text import Sleep
from shared.values import immutable

_logger = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024
"""Bytes on the wire; a real response has a few kilobytes."""

# A request with our key goes only to paths of this form, which libraries, proxies and Face all read in the same way.
_PATH = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+(?:\?[a-z0-9=&]+)?")

_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 2.0
_MAY_PASS = (429, 500, 502, 503, 504)

_HEADERS = {"User-Agent": "face-liveness-broker", "Accept": "application/json"}
# The values that a header field can carry. The HTTP library's own error could contain the value, which is the key.
_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@immutable
class Patience:
    """How many seconds a call may take in total and per try, and how many tries it has."""

    total: float
    per_try: float
    tries: int = 3


PATIENCE = {
    # A create that timed out cannot be tried again, so the first try may use all of the time.
    Lane.CREATE: Patience(total=8.0, per_try=8.0),
    Lane.READ: Patience(total=5.0, per_try=2.0),
    Lane.REPEATED_READ: Patience(total=5.0, per_try=2.0),
    Lane.FOLLOW_UP: Patience(total=5.0, per_try=2.0),
}


@dataclass(slots=True)
class Operation:
    """One operation of the port: its request, its deadline (loop time), and whether any try may have been sent.

    `asker` is the caller or address that it reads for.
    """

    name: str
    request: UpstreamRequest
    request_id: str
    lane: Lane
    asker: str = ""
    patience: Patience = field(init=False)
    deadline: float = field(init=False)
    sent: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if not _REQUEST_ID.fullmatch(self.request_id):
            raise ValueError("a request id has the form of a GUID")
        if not _PATH.fullmatch(self.request.path):
            raise ValueError("the path is not one of Face's")
        self.patience = PATIENCE[self.lane]
        self.deadline = asyncio.get_running_loop().time() + self.patience.total


class _Headers(dict[str, str]):
    """The header fields of a request. One holds the credential, so the repr shows only their names."""

    def __repr__(self) -> str:
        return f"<header fields {', '.join(self)}>"


@immutable
class Trouble:
    """The error of a failed try, and the status and Face's own id of its response if there was one."""

    error: UpstreamError | UpstreamSessionGone
    status: int | None = None
    request_id: str | None = None


class FaceCalls:
    """Performs operations at one base URL. `random` returns a number from 0 to 1."""

    def __init__(
        self,
        http: Http,
        base_url: str,
        credential: FaceCredential,
        budget: Budget,
        *,
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self._http = http
        self._base_url = base_url.removesuffix("/")
        self._credential = credential
        self._budget = budget
        self._sleep = sleep
        self._random = random

    async def perform(self, operation: Operation) -> HttpAnswer:
        """Return the first success; raises an `UpstreamError`, `KeyUnavailable` or `UpstreamSessionGone`."""
        now = asyncio.get_running_loop().time
        attempt, renewed = 1, False
        try:
            async with asyncio.timeout_at(operation.deadline):
                while True:
                    secret = await self._credential.source.get()
                    headers = self._headers(operation, secret)
                    remaining = operation.deadline - now()
                    began = await self._budget.take(operation.lane, remaining, operation.asker)
                    outcome = await self._try(operation, attempt, headers)
                    if isinstance(outcome, HttpAnswer):
                        return outcome
                    if outcome.status == 429:
                        self._budget.slow_down(began)
                    if outcome.status == 401 and not renewed:
                        renewed = await self._credential.source.refresh(secret) != secret
                        if renewed:
                            continue
                    wait = next_wait(
                        outcome,
                        attempt=attempt,
                        repeatable=operation.lane is not Lane.CREATE,
                        patience=operation.patience,
                        remaining=operation.deadline - now(),
                        jitter=self._random(),
                    )
                    await self._sleep(wait)
                    attempt += 1
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(WAITED_FOR_FACE)
            raise
        except TimeoutError as error:
            raise UpstreamTimeout("no answer within the deadline", request_sent=operation.sent) from error
        except (UpstreamError, KeyUnavailable) as error:
            # The last try may not have been sent although an earlier one was.
            error.request_sent = operation.sent
            raise

    def _headers(self, operation: Operation, secret: Secret) -> dict[str, str]:
        headers = {**_HEADERS, "client-request-id": operation.request_id}
        if operation.request.json is not None:
            headers["Content-Type"] = "application/json"
        # An error report may show variables: no other one has the value.
        if not _FIELD_VALUE.fullmatch(self._credential.prefix + secret.reveal()):
            raise KeyUnavailable("the credential has characters that a header field cannot carry")
        return _Headers(headers | {self._credential.name: self._credential.prefix + secret.reveal()})

    async def _try(
        self, operation: Operation, attempt: int, headers: Mapping[str, str]
    ) -> HttpAnswer | Trouble:
        """Send one request and read the response, whatever its status."""
        request = operation.request
        content = None if request.json is None else json.dumps(request.json).encode()
        now = asyncio.get_running_loop().time
        began, sent_before, operation.sent = now(), operation.sent, True
        outcome: HttpAnswer | Trouble
        try:
            async with asyncio.timeout(operation.patience.per_try):
                outcome = await self._http.send(
                    request.method, self._base_url + request.path, headers, content
                )
        except (NoAnswer, TimeoutError) as error:
            failure = _failure(error)
            failure.__cause__ = error
            operation.sent = sent_before or failure.request_sent
            outcome = Trouble(failure)
        else:
            if not 200 <= outcome.status < 300:
                outcome = Trouble(refusal(outcome), outcome.status, request_id_of(outcome))
        _log(operation, attempt, outcome, now() - began)
        return outcome


def _failure(error: NoAnswer | TimeoutError) -> UpstreamError:
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("no answer in the time of a try", request_sent=True)
    kind = UpstreamTimeout if error.timed_out else UpstreamFailure
    return kind(f"no answer: {error}", request_sent=error.sent)


def next_wait(
    trouble: Trouble, *, attempt: int, repeatable: bool, patience: Patience, remaining: float, jitter: float
) -> float:
    """Return the seconds to wait before the try after `attempt` (counted from 1), or raise the error of `trouble`.

    `jitter` is a random number from 0 to 1. A wait that leaves too little of the `remaining` seconds for a try is not
    started: it is better to return the error, with its `retry_after`, at once.
    """
    error = trouble.error
    if isinstance(error, UpstreamSessionGone) or not _may_repeat(error, trouble.status, repeatable):
        raise error
    backoff = jitter * min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** (attempt - 1))
    wait = (error.retry_after or 0.0) + backoff
    if attempt >= patience.tries or wait + patience.per_try / 2 > remaining:
        raise error
    return wait


def _may_repeat(error: UpstreamError, status: int | None, repeatable: bool) -> bool:
    if repeatable:
        return status is None or status in _MAY_PASS
    return status == 429 or not error.request_sent


def _log(operation: Operation, attempt: int, outcome: HttpAnswer | Trouble, seconds: float) -> None:
    if isinstance(outcome, Trouble):
        error, upstream_id = outcome.error, outcome.request_id
    else:
        error, upstream_id = None, request_id_of(outcome)
    log_event(
        _logger,
        logging.WARNING if isinstance(error, UpstreamError) else logging.INFO,
        "face_called",
        operation=operation.name,
        attempt=attempt,
        status=outcome.status,
        error=type(error).__name__ if error else None,
        detail=(str(error) or None) if error else None,
        milliseconds=round(seconds * 1000),
        requestId=operation.request_id,
        upstreamRequestId=upstream_id,
    )
