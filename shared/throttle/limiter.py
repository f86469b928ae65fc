"""The limiter: whether a request is admitted, over all instances at once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from shared.clock import Clock, Sleep
from shared.errors import StorageUnavailable, Throttled
from shared.storage.port import EntityStore
from shared.telemetry import log_event
from shared.throttle.coalescing import Coalescer
from shared.throttle.decision import Admit, Enter, Refusal, Request, TakeBack
from shared.throttle.headers import policy_fields
from shared.throttle.ledger import Ledger
from shared.throttle.model import Admission, Limit, Subject
from shared.throttle.refusals import Refusals

_JITTER: Final = 0.1
_MAX_JITTER_MS: Final = 5_000

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Limiter:
    """Admits requests under the limits of their subjects, exactly, whichever instances they come to.

    The only state that counts is in the store: a row per subject, replaced under its etag. Exact means as the
    instances agree on the time: give them the store's (`shared.storage.store_time`).

    `random` answers numbers from 0 to below 1. `known` is how much is remembered of rows and their etags, an entry in
    a log counting as one, and `refused` of how many subjects the refusals of the last ten seconds are. `deadline` is
    how many seconds a call may take, however slow the store is and however often other instances are faster.
    """

    def __init__(
        self,
        store: EntityStore,
        clock: Clock,
        *,
        random: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        known: int = 100_000,
        refused: int = 10_000,
        deadline: float = 5.0,
    ) -> None:
        ledger = Ledger(store, clock, random=random, sleep=sleep, known=known)
        self._coalescer = Coalescer(ledger.settle)
        self._refusals = Refusals(refused)
        self._clock = clock
        self._random = random
        self._deadline = deadline

    async def admit(self, subjects: Sequence[Subject]) -> Admission:
        """Charge a request to all its subjects, or to none of them.

        Raises the refusal of the limit with the longest wait: `retry_after` (seconds) is when the request
        would be admitted if nobody else came before, plus up to a tenth and at most 5 s, so that not all
        come back at once. A refusal is given again for ten seconds without a look at the store: that long may
        other instances go on refusing after one has taken a charge back.
        `StorageUnavailable` means that nobody knows, in time or at all: where a write failed or was broken off,
        the charge may be stored.

        A caller that is cancelled while its charge is written stays charged. Raises `ValueError` where two
        subjects have one key.
        """
        limited = [subject for subject in subjects if subject.limits]
        if len({subject.key for subject in limited}) != len(limited):
            raise ValueError("expected subjects with different keys")
        if not limited:
            return Admission()
        began = self._clock()
        self._require_not_refused(limited, began)
        outcome = await self._submit(Admit(limited))
        if isinstance(outcome, Admission):
            return outcome
        for refusal in outcome.refusals:
            self._refusals.remember(refusal, began)
        raise self._refusal(limited, outcome.refusals, outcome.now)

    def require_not_refused(self, subjects: Sequence[Subject]) -> None:
        """Raise the refusal that was given in the last ten seconds, if it holds; ask nobody, charge nothing."""
        self._require_not_refused(subjects, self._clock())

    def _require_not_refused(self, subjects: Sequence[Subject], now: int) -> None:
        if remembered := self._refusals.of(subjects, now):
            raise self._refusal(subjects, remembered, now)

    async def refund(self, admission: Admission) -> None:
        """Take exactly this charge back; only where the upstream was provably never reached, and only once.

        Best effort: a store that fails is logged, not raised. Other instances hear of it within ten seconds.
        """
        if not admission.charges:
            return
        try:
            await self._submit(TakeBack(admission.charges))
        except StorageUnavailable as error:
            log_event(_log, logging.WARNING, "throttle_refund_failed", detail=error.detail)
        for charge in admission.charges:
            self._refusals.forget(charge.key)

    async def charge(self, key: str, limit: Limit, at: int) -> None:
        """Enter what happened at a time (unix milliseconds) in a limit's log, whatever the log says.

        The same time counts once, so that it may be said again. Raises `StorageUnavailable`.
        """
        if not limit.policy.windows:
            return
        await self._submit(Enter(key, limit, at))
        self._refusals.forget(key)

    async def _submit(self, request: Request[T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._coalescer.submit(request)
        except TimeoutError as error:
            raise StorageUnavailable("throttle rows could not be written in time") from error

    def _refusal(self, subjects: Sequence[Subject], refusals: Sequence[Refusal], now: int) -> Throttled:
        longest = max(refusals, key=lambda refusal: refusal.until)
        return longest.subject.refusal(
            f"limit {longest.limit.name}",
            retry_after=spread(longest.until - now, self._random) / 1000,
            rate_limit=_fields(subjects, longest, now),
        )


def spread(wait_ms: int, random: Callable[[], float]) -> float:
    """Add up to a tenth to a wait, and at most 5 s, so that not all who were refused come back at once."""
    return wait_ms + min(wait_ms * _JITTER, _MAX_JITTER_MS) * random()


def _fields(subjects: Sequence[Subject], refusal: Refusal, now: int) -> dict[str, str]:
    # Who is refused by a shared limit was not counted, and could go on asking for the state of any device.
    if refusal.left:
        return refusal.left.fields(now, refusal.until - now)
    return policy_fields([limit for subject in subjects for limit in subject.published])
