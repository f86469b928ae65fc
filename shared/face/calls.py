"""Calls of Face: requests with the credential and within the budget, repeated under one deadline."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.clock import Sleep
from shared.errors import KeyUnavailable, UpstreamError, UpstreamTimeout
from shared.face.budget import Lane
from shared.face.model import FaceCredential
from shared.face.refusals import refusal
from shared.face.retries import Patience, Trouble, next_wait
from shared.face.transport import Transport
from shared.face.wire import UpstreamRequest, UpstreamResponse
from shared.telemetry import log_event

_logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}")


@dataclass(slots=True)
class Call:
    """One call of the port: what it asks for, when it has to end (loop time), whether anything may have left."""

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
        self.deadline = _now() + self.patience.total

    @property
    def remaining(self) -> float:
        """The seconds until the call has to end."""
        return self.deadline - _now()


class CallBudget(Protocol):
    """How many calls may be made."""

    async def take(self, lane: Lane, within: float) -> None:
        """Wait for leave to make one call, at most `within` seconds; raises `UpstreamThrottled`."""
        ...

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` where a create that came now would be refused."""
        ...

    def pause(self, seconds: float) -> None:
        """Admit nobody for so many seconds."""
        ...


class Caller:
    """Makes calls; the header fields of the credential are put on each request and kept nowhere."""

    def __init__(
        self,
        transport: Transport,
        credential: FaceCredential,
        budget: CallBudget,
        *,
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._credential = credential
        self._budget = budget
        self._sleep = sleep
        self._random = random

    async def perform(self, call: Call) -> UpstreamResponse:
        """Answer the first success; raises an `UpstreamError`, `KeyUnavailable` or `UpstreamSessionGone`."""
        try:
            async with asyncio.timeout_at(call.deadline):
                return await self._try_until_answered(call)
        except TimeoutError as error:
            raise UpstreamTimeout("no answer within the deadline", request_sent=call.sent) from error
        except (UpstreamError, KeyUnavailable) as error:
            # The last try may never have left, and an earlier one did.
            error.request_sent = call.sent
            raise

    async def _try_until_answered(self, call: Call) -> UpstreamResponse:
        attempt, renewed = 1, False
        while True:
            headers = await self._credential.headers()
            await self._budget.take(call.lane, call.remaining)
            outcome = await self._try(call, attempt, headers)
            if isinstance(outcome, UpstreamResponse):
                return outcome
            if outcome.status == 401 and not renewed:
                renewed = await self._credential.renew(headers)
                if renewed:
                    continue
            await self._sleep(
                next_wait(
                    outcome,
                    attempt=attempt,
                    repeatable=call.lane is not Lane.CREATE,
                    patience=call.patience,
                    remaining=call.remaining,
                    jitter=self._random(),
                )
            )
            attempt += 1

    async def _try(
        self, call: Call, attempt: int, credential: Mapping[str, str]
    ) -> UpstreamResponse | Trouble:
        headers = {**credential, "client-request-id": call.request_id}
        began, sent_before, call.sent = _now(), call.sent, True
        outcome: UpstreamResponse | Trouble
        try:
            response = await self._transport.exchange(call.request, headers, within=call.patience.per_try)
        except UpstreamError as error:
            call.sent = sent_before or error.request_sent
            outcome = Trouble(error)
        else:
            outcome = self._judge(response)
        _log(call, attempt, outcome, _now() - began)
        return outcome

    def _judge(self, response: UpstreamResponse) -> UpstreamResponse | Trouble:
        if 200 <= response.status < 300:
            return response
        error = refusal(response)
        if response.status == 429 and isinstance(error, UpstreamError):
            self._budget.pause(error.retry_after or 0.0)
        return Trouble(error, response.status, response.request_id)


def _log(call: Call, attempt: int, outcome: UpstreamResponse | Trouble, seconds: float) -> None:
    error = outcome.error if isinstance(outcome, Trouble) else None
    log_event(
        _logger,
        logging.WARNING if isinstance(error, UpstreamError) else logging.INFO,
        "face_called",
        operation=call.name,
        attempt=attempt,
        status=outcome.status,
        error=type(error).__name__ if error else None,
        detail=(str(error) or None) if error else None,
        milliseconds=round(seconds * 1000),
        requestId=call.request_id,
        upstreamRequestId=outcome.request_id,
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
