"""Decides whether a request is admitted: exactly, over all instances at once, or for one instance."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from typing import Final

from cachetools import LRUCache

from shared.errors import ClientThrottled, DeviceThrottled, EntityChanged, StorageUnavailable, Throttled
from shared.storage.port import EntityStore
from shared.telemetry import FloodLog, log_event
from shared.text import Clock, Sleep
from shared.throttle.headers import RateLimit, policy_fields
from shared.throttle.policy import Limit, Limits, Log, Policy
from shared.throttle.rows import Row, Rows
from shared.values import immutable

BELIEVED_MS: Final = 10_000
"""For how long a refusal is repeated without another read: another instance may refund a charge meanwhile."""

_JITTER: Final = 0.1
_MAX_JITTER_MS: Final = 5_000
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5

_log = logging.getLogger(__name__)


@immutable
class Subject:
    """A device, caller or address that a request counts against, with its limits.

    `key` is the key of its row, made from a pseudonym (`device-<hex>`). `refusal` is the error that a throttled caller
    gets.
    """

    key: str
    limits: Limits
    refusal: type[DeviceThrottled] | type[ClientThrottled]

    @property
    def published(self) -> tuple[Limit, ...]:
        """The limits whose state callers may know: those that a device is charged for.

        The state of a shared limit would tell a caller about others. The state of a limit that is only looked at
        would tell a device whether its check passed.
        """
        if self.refusal is not DeviceThrottled:
            return ()
        return tuple([limit for limit in self.limits if limit.charged])


@immutable
class Charge:
    """One entry in a log of a row, stamped in unix milliseconds."""

    key: str
    log: str
    stamp: int


@immutable
class Admission:
    """The charges of an admitted request, and the header fields that tell the device what is left."""

    charges: tuple[Charge, ...] = ()
    rate_limit: Mapping[str, str] = field(default_factory=dict)


@immutable
class _Refusal:
    """A limit refuses a subject until a time; `asked_at` is when the request was made (both unix milliseconds).

    It holds no log: refusals are cached, and the log of a caller that is refused often is long.
    """

    subject: Subject
    limit: Limit
    until: int
    asked_at: int
    rate_limit: RateLimit | None


@immutable
class _Decision:
    """What was decided over rows at a time (unix milliseconds): an admission or refusals, and the rows to write."""

    at: int
    changed: Mapping[str, Row] = field(default_factory=dict)
    admission: Admission = Admission()
    refusals: Sequence[_Refusal] = ()


_Decide = Callable[[Mapping[str, Row], int], _Decision]


class Limiter:
    """Admits requests under the limits of their subjects, whichever instances they come to.

    The store holds one row for each subject. Exact means as the clocks of the instances agree.

    Where there is an `observing_flood_log`, it counts as it otherwise would, logs there whom it would refuse, and
    refuses nobody.

    `random` returns numbers from 0 to below 1. `cached_rows` is the size of the cache of rows (`Rows`), and
    `cached_refusals` the number of subjects whose refusals are cached. A call takes `deadline` seconds at most.
    """

    def __init__(
        self,
        store: EntityStore,
        clock: Clock,
        *,
        random: Callable[[], float],
        observing_flood_log: FloodLog | None = None,
        sleep: Sleep = asyncio.sleep,
        cached_rows: int = 100_000,
        cached_refusals: int = 10_000,
        deadline: float = 5.0,
    ) -> None:
        self._rows = Rows(store, cached_rows)
        self._refusals: LRUCache[str, list[_Refusal]] = LRUCache(cached_refusals)
        self._clock = clock
        self._random = random
        self._observing_flood_log = observing_flood_log
        self._sleep = sleep
        self._deadline = deadline

    async def admit(
        self,
        subjects: Sequence[Subject],
        *,
        device: str | None = None,
        caller: str | None = None,
        address: str | None = None,
    ) -> Admission:
        """Charge a request to all its subjects, or to none of them.

        `device`, `caller` and `address` are pseudonyms for the log.

        Raises the `Throttled` error of the limit with the longest wait. Its `retry_after` (seconds) is when the
        request would be admitted if no other came before, plus a jitter. The refusal is repeated for ten seconds
        without a call of the store.

        Raises `StorageUnavailable` where the store fails or the deadline ends; after a write that failed the charge
        may be stored. A caller that is cancelled while its charge is written stays charged. Raises `ValueError` for
        two subjects with one key.
        """
        limited = [subject for subject in subjects if subject.limits]
        if not limited:
            return Admission()
        keys = [subject.key for subject in limited]
        if len(set(keys)) != len(keys):
            raise ValueError("expected subjects with different keys")
        self.require_not_refused(limited)
        asked_at = self._clock()

        def decide(rows: Mapping[str, Row], now: int) -> _Decision:
            # While this request waited for its rows, others may have been refused.
            self.require_not_refused(limited)
            if refusals := _refusals(limited, rows, now, asked_at):
                return _Decision(now, refusals=refusals)
            return _charged(limited, rows, now)

        decision = await self._settle(keys, decide)
        if not decision.refusals:
            return decision.admission
        if self._observing_flood_log:
            for name in dict.fromkeys([refusal.limit.name for refusal in decision.refusals]):
                self._observing_flood_log.write(
                    _log,
                    logging.WARNING,
                    "throttle_would_refuse",
                    (name,),
                    caller or address,
                    limit=name,
                    device=device,
                    caller=caller,
                    address=address,
                )
            return Admission()
        for subject in limited:
            if own := [refusal for refusal in decision.refusals if refusal.subject is subject]:
                self._refusals[subject.key] = own
        raise self._throttled(limited, decision.refusals, decision.at)

    def require_not_refused(self, subjects: Sequence[Subject]) -> None:
        """Raise the `Throttled` error that was raised in the last ten seconds, if it still holds; charge nothing."""
        now = self._clock()
        # A refusal from the future was made before the clock was set back.
        refusals = [
            refusal
            for subject in subjects
            for refusal in self._refusals.get(subject.key, ())
            if refusal.limit in subject.limits
            and refusal.until > now
            and 0 <= now - refusal.asked_at < BELIEVED_MS
        ]
        if refusals:
            raise self._throttled(subjects, refusals, now)

    async def refund(self, admission: Admission) -> None:
        """Take the charges of an admission back; call it once, where nobody was given a session.

        A store that fails is logged, not raised. Other instances may go on refusing for ten seconds.
        """
        if not admission.charges:
            return

        def decide(rows: Mapping[str, Row], now: int) -> _Decision:
            changed: dict[str, Row] = {}
            for charge in admission.charges:
                row = changed.get(charge.key, rows[charge.key])
                log = row.logs.get(charge.log, ())
                refunded = Policy.refund(log, charge.stamp)
                if refunded != log:
                    changed[charge.key] = row.with_log(charge.log, refunded)
            return _Decision(now, changed)

        try:
            await self._settle({charge.key for charge in admission.charges}, decide)
        except StorageUnavailable as error:
            log_event(_log, logging.WARNING, "throttle_refund_failed", detail=error.detail)
        for charge in admission.charges:
            self._refusals.pop(charge.key, None)

    async def charge(self, key: str, limit: Limit, *times: int) -> None:
        """Enter what happened at these times (unix milliseconds) in the log of a limit, even if that is used up.

        The same time is entered once, so that a call may be repeated. Raises `StorageUnavailable`.
        """
        if not limit.policy.windows:
            return

        def decide(rows: Mapping[str, Row], now: int) -> _Decision:
            log = rows[key].logs.get(limit.log, ())
            entered = log
            for at in times:
                entered = limit.policy.enter(entered, at, now)
            if entered == log:
                return _Decision(now)
            expires_at = entered[-1] + limit.policy.longest_ms
            return _Decision(now, {key: rows[key].with_log(limit.log, entered, expires_at)})

        await self._settle([key], decide)
        self._refusals.pop(key, None)

    async def _settle(self, keys: Collection[str], decide: _Decide) -> _Decision:
        """Decide over rows and write what changes, until no row that the decision rests on was out of date.

        The first decision is over the cached rows. A write fails if another instance has written one of them since;
        then that row is read, and those after it.
        Rows that the decision rests on without writing them are read before it counts.
        """
        try:
            async with asyncio.timeout(self._deadline), self._rows.locked(keys):
                rows = self._rows.cached(keys)
                read: set[str] = set()
                lost = 0
                while True:
                    decision = decide(rows, self._clock())
                    rests_on = {refusal.subject.key for refusal in decision.refusals} or set(keys)
                    if unread := rests_on - decision.changed.keys() - read:
                        rows |= await self._rows.read(sorted(unread))
                        read |= unread
                        continue
                    try:
                        if decision.changed:
                            await self._rows.write(decision.changed.values())
                        return decision
                    except EntityChanged as changed:
                        # Instances that compete for a row retry at different times.
                        await self._sleep(
                            self._random() * min(_FIRST_PAUSE * 2 ** min(lost, 10), _LONGEST_PAUSE)
                        )
                        # Rows before the one that changed are as this instance knows them.
                        known = set() if lost else set(list(decision.changed)[: changed.index])
                        stale = [key for key in keys if key not in known]
                        lost += 1
                        rows |= await self._rows.read(stale)
                        read.update(stale)
        except TimeoutError as error:
            raise StorageUnavailable("throttle rows could not be written in time") from error

    def _throttled(self, subjects: Sequence[Subject], refusals: Sequence[_Refusal], now: int) -> Throttled:
        longest = max(refusals, key=lambda refusal: refusal.until)
        wait = longest.until - now
        if longest.rate_limit:
            fields = longest.rate_limit.fields(now, wait)
        else:
            # A request that a shared limit refuses costs nothing: it must not tell the state of a device.
            published = dict.fromkeys(limit for subject in subjects for limit in subject.published)
            fields = policy_fields(list(published))
        return longest.subject.refusal(
            f"limit {longest.limit.name}",
            retry_after=spread(wait, self._random) / 1000,
            rate_limit=fields,
        )


def spread(wait_ms: int, random: Callable[[], float]) -> float:
    """Add up to a tenth to a wait, and at most 5 s, so that throttled callers do not all come back at once."""
    return wait_ms + min(wait_ms * _JITTER, _MAX_JITTER_MS) * random()


def _refusals(
    subjects: Sequence[Subject], rows: Mapping[str, Row], now: int, asked_at: int
) -> list[_Refusal]:
    refusals = []
    for subject in subjects:
        logs = rows[subject.key].logs
        for limit in subject.limits:
            until = limit.policy.opens_at(logs.get(limit.log, ()))
            if until > now:
                rate_limit = _left(subjects, rows, now) if subject.published else None
                refusals.append(_Refusal(subject, limit, until, asked_at, rate_limit))
    return refusals


def _charged(subjects: Sequence[Subject], rows: Mapping[str, Row], now: int) -> _Decision:
    changed: dict[str, Row] = {}
    charges: list[Charge] = []
    for subject in subjects:
        row = rows[subject.key]
        for limit in subject.limits:
            if limit.charged:
                log = limit.policy.admit(row.logs.get(limit.log, ()), now)
                row = changed[subject.key] = row.with_log(limit.log, log, log[-1] + limit.policy.longest_ms)
                charges.append(Charge(subject.key, limit.log, log[-1]))
    left = _left(subjects, {**rows, **changed}, now)
    return _Decision(now, changed, Admission(tuple(charges), left.fields(now) if left else {}))


def _left(subjects: Sequence[Subject], rows: Mapping[str, Row], now: int) -> RateLimit | None:
    """What is left of the published limits, in the row with the least left.

    While the pepper is rotated, a device has a row under each, and only the older one has counted all.
    """
    states = [
        RateLimit.of(published, rows[subject.key].logs, now)
        for subject in subjects
        if (published := subject.published)
    ]
    return min(filter(None, states), key=lambda state: (state.remaining, -state.reset_at), default=None)


class LocalLimit:
    """A limit that each instance keeps for itself, so that it costs no call of the store.

    It forgets the keys that were not used for longest.
    """

    def __init__(self, limits: str, clock: Clock, *, keys: int = 10_000) -> None:
        self._policy = Policy.parse(limits)
        self._clock = clock
        self._logs: LRUCache[str, Log] = LRUCache(keys)

    def wait_ms(self, key: str) -> int:
        """In how many milliseconds one more is admitted under a key; 0 means now."""
        return max(0, self._policy.opens_at(self._logs.get(key, ())) - self._clock())

    def count(self, key: str) -> None:
        """Count one, whatever `wait_ms` says."""
        self._logs[key] = self._policy.admit(self._logs.get(key, ()), self._clock())
