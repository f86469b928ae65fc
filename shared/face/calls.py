"""Calls of Face: with the credential and within the budget, repeated under one deadline. No other layer retries."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.clock import Sleep
from shared.errors import KeyUnavailable, UpstreamError, UpstreamSessionGone, UpstreamTimeout
from shared.face.answers import UpstreamRequest, UpstreamResponse
from shared.face.budget import Budget, Lane
from shared.face.model import FaceCredential
from shared.face.refusals import refusal
from shared.face.transport import Transport
from shared.telemetry import log_event

_logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 2.0
_MAY_PASS = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a call may take in total and per try, and how many tries it has."""

    total: float
    per_try: float
    tries: int = 3


PATIENCE = {
    # A create that timed out cannot be tried again, so the first try may use all of the time.
    Lane.CREATE: Patience(total=8.0, per_try=8.0),
    Lane.READ: Patience(total=5.0, per_try=2.0),
}


@dataclass(slots=True)
class Operation:
    """One operation of the port: its request, its deadline (loop time), and whether any try may have been sent."""

    name: str
    request: UpstreamRequest
    request_id: str
    lane: Lane
    patience: Patience
    deadline: float = field(init=False)
    sent: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if not _REQUEST_ID.fullmatch(self.request_id):
            raise ValueError("a request id has the form of a GUID")
        self.deadline = asyncio.get_running_loop().time() + self.patience.total


@dataclass(frozen=True, slots=True)
class Trouble:
    """The error of a failed try, and the status and Face's own id of its response if there was one."""

    error: UpstreamError | UpstreamSessionGone
    status: int | None = None
    request_id: str | None = None


class FaceCalls:
    """Performs operations. The header fields of the credential go into each request and are not kept.

    `random` returns a number from 0 to 1.
    """

    def __init__(
        self,
        transport: Transport,
        credential: FaceCredential,
        budget: Budget,
        *,
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self._transport = transport
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
                    headers = await self._credential.headers()
                    began = await self._budget.take(operation.lane, operation.deadline - now())
                    outcome = await self._try(operation, attempt, headers)
                    if isinstance(outcome, UpstreamResponse):
                        return outcome
                    if outcome.status == 429:
                        self._budget.slow_down(began)
                    if outcome.status == 401 and not renewed:
                        renewed = await self._credential.renew(headers)
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
        except TimeoutError as error:
            raise UpstreamTimeout("no answer within the deadline", request_sent=operation.sent) from error
        except (UpstreamError, KeyUnavailable) as error:
            # The last try may not have been sent although an earlier one was.
            error.request_sent = operation.sent
            raise

    async def _try(
        self, operation: Operation, attempt: int, credential: Mapping[str, str]
    ) -> UpstreamResponse | Trouble:
        headers = {**credential, "client-request-id": operation.request_id}
        now = asyncio.get_running_loop().time
        began, sent_before, operation.sent = now(), operation.sent, True
        outcome: UpstreamResponse | Trouble
        try:
            outcome = await self._transport.exchange(
                operation.request, headers, within=operation.patience.per_try
            )
            if not 200 <= outcome.status < 300:
                outcome = Trouble(refusal(outcome), outcome.status, outcome.request_id)
        except UpstreamError as error:
            operation.sent = sent_before or error.request_sent
            outcome = Trouble(error)
        except KeyUnavailable:
            operation.sent = sent_before
            raise
        _log(operation, attempt, outcome, now() - began)
        return outcome


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
