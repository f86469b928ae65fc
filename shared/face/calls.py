"""Calls of Face: with the credential and within the budget, repeated under one deadline. No other layer retries."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from cachetools import LRUCache

from shared.errors import (
    WAITED_FOR_FACE,
    KeyUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamSessionGone,
    UpstreamTimeout,
)
from shared.face.answers import UpstreamRequest, UpstreamResponse
from shared.face.budget import Budget, Lane
from shared.face.model import FaceCredential
from shared.face.refusals import refusal
from shared.keys.secret import Secret
from shared.telemetry import log_event
from shared.text import Sleep
from shared.values import immutable

_logger = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024
"""Bytes on the wire; a real response has a few kilobytes."""

_URLS_REMEMBERED = 16

_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 2.0
_MAY_PASS = (429, 500, 502, 503, 504)

_HEADERS = {"User-Agent": "face-liveness-broker", "Accept": "application/json"}
# The values that a header field can carry. The HTTP library's own error could contain the value, which is the key.
_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")

# The request was certainly not sent. Everything else is ambiguous, also on a kept connection: Face may have closed it
# before or after reading the request.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


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
        self.patience = PATIENCE[self.lane]
        self.deadline = asyncio.get_running_loop().time() + self.patience.total


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
        http: httpx.AsyncBaseTransport,
        base_url: str,
        credential: FaceCredential,
        budget: Budget,
        *,
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self._http = http
        # In the form of httpx, which omits the default port, because each URL is compared with it.
        self._base_url = str(httpx.URL(base_url)).removesuffix("/")
        # Parsing takes a twentieth of a create's CPU time, and the URL of creates is always the same.
        self._urls: LRUCache[str, httpx.URL] = LRUCache(_URLS_REMEMBERED)
        self._credential = credential
        self._budget = budget
        self._sleep = sleep
        self._random = random

    async def perform(self, operation: Operation) -> UpstreamResponse:
        """Return the first success; raises an `UpstreamError`, `KeyUnavailable` or `UpstreamSessionGone`."""
        now = asyncio.get_running_loop().time
        attempt, renewed = 1, False
        try:
            async with asyncio.timeout_at(operation.deadline):
                while True:
                    secret = await self._credential.source.get()
                    request = self._build(operation, secret)
                    remaining = operation.deadline - now()
                    began = await self._budget.take(operation.lane, remaining, operation.asker)
                    outcome = await self._try(operation, attempt, request)
                    if isinstance(outcome, UpstreamResponse):
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

    def _build(self, operation: Operation, secret: Secret) -> httpx.Request:
        url, content = self._url(operation.request.path), operation.request.json
        headers = {**_HEADERS, "client-request-id": operation.request_id}
        if content is not None:
            headers["Content-Type"] = "application/json"
        # The value is in no variable, because an error report may show those.
        if not _FIELD_VALUE.fullmatch(self._credential.prefix + secret.reveal()):
            raise KeyUnavailable("the credential has characters that a header field cannot carry")
        return httpx.Request(
            operation.request.method,
            url,
            # As a stream, because httpx would add header fields that the transport adds anyway.
            stream=httpx.ByteStream(b"" if content is None else json.dumps(content).encode()),
            headers=headers | {self._credential.name: self._credential.prefix + secret.reveal()},
        )

    def _url(self, path: str) -> httpx.URL:
        if known := self._urls.get(path):
            return known
        # httpx resolves `..` and drops fragments. Only the intended URL may get a request with our key.
        with suppress(httpx.InvalidURL):
            url = httpx.URL(self._base_url + path)
            if str(url) == self._base_url + path and url.raw_path == path.encode():
                self._urls[path] = url
                return url
        raise UpstreamFailure("the URL is not the one that was meant", request_sent=False)

    async def _try(
        self, operation: Operation, attempt: int, request: httpx.Request
    ) -> UpstreamResponse | Trouble:
        """Send one request and read the response, whatever its status."""
        now = asyncio.get_running_loop().time
        began, sent_before, operation.sent = now(), operation.sent, True
        outcome: UpstreamResponse | Trouble
        try:
            async with asyncio.timeout(operation.patience.per_try):
                response = await self._http.handle_async_request(request)
                body = await _body_of(response)
        except (httpx.HTTPError, TimeoutError) as error:
            timed_out = isinstance(error, httpx.TimeoutException | TimeoutError)
            kind = UpstreamTimeout if timed_out else UpstreamFailure
            failure = kind(
                f"no answer: {type(error).__name__}", request_sent=not isinstance(error, _NOT_SENT)
            )
            failure.__cause__ = error
            operation.sent = sent_before or failure.request_sent
            outcome = Trouble(failure)
        else:
            outcome = UpstreamResponse(
                response.status_code, response.headers, body or b"", unread=body is None
            )
            if not 200 <= outcome.status < 300:
                outcome = Trouble(refusal(outcome), outcome.status, outcome.request_id)
        _log(operation, attempt, outcome, now() - began)
        return outcome


async def _body_of(response: httpx.Response) -> bytes | None:
    """Return the body, or None if it is compressed or too large: the status of an error says enough without it."""
    try:
        # The parts as they came: `aread` would look for a coding to undo.
        return b"".join([part async for part in response.stream])  # type: ignore[union-attr] # Always asynchronous.
    except httpx.DecodingError:
        return None


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


def _log(operation: Operation, attempt: int, outcome: UpstreamResponse | Trouble, seconds: float) -> None:
    error = outcome.error if isinstance(outcome, Trouble) else None
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
        upstreamRequestId=outcome.request_id,
    )
