"""What is asked of throttle rows, as pure decisions over rows at one time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from shared.throttle.headers import RateLimit
from shared.throttle.model import Admission, Charge, Limit, Subject
from shared.throttle.policy import Log, Policy
from shared.throttle.rows import Row

T_co = TypeVar("T_co", covariant=True)
Rows = Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """The outcome of a decision, the rows that it changes, and the keys of the rows that it rests on."""

    outcome: T_co
    changed: Sequence[Row]
    rests_on: Sequence[str]


class Request(Protocol[T_co]):
    """Something to be decided over the rows of `keys`, all of them at once."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the rows, each once."""
        ...

    @property
    def makes_room(self) -> bool:
        """Whether it goes before the others of its batch, as nobody should be refused for what it takes back."""
        ...

    def decide(self, rows: Rows, now: int) -> Answer[T_co]:
        """Decide, without any effect; the rows of all keys are there."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """A limit of a subject refuses until a time in unix milliseconds; `left` is what the caller may know.

    It holds no log: refusals are remembered, and whoever is refused a lot has a long one.
    """

    subject: Subject
    limit: Limit
    left: RateLimit | None
    until: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was refused at a time in unix milliseconds, by each of these."""

    refusals: tuple[Refusal, ...]
    now: int


class Admit:
    """Admit a request under all limits of its subjects and charge it, or refuse it and charge nothing."""

    __slots__ = ("keys", "subjects")
    makes_room = False

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self.subjects = subjects
        self.keys = tuple([subject.key for subject in subjects])

    def decide(self, rows: Rows, now: int) -> Answer[Admission | Refused]:
        """Decide over all rows."""
        refusals = tuple(self._refusals(rows, now))
        if refusals:
            keys = [refusal.subject.key for refusal in refusals]
            return Answer(Refused(refusals, now), (), keys)
        charges: list[Charge] = []
        charged = [_charge(subject, rows[subject.key], now, charges) for subject in self.subjects]
        admission = Admission(tuple(charges), self._fields(charged, now))
        return Answer(admission, [row for row in charged if row is not rows[row.key]], self.keys)

    def _refusals(self, rows: Rows, now: int) -> Iterator[Refusal]:
        for subject in self.subjects:
            row = rows[subject.key]
            for limit in subject.limits:
                until = limit.policy.opens_at(row.log(limit.log))
                if until > now:
                    yield Refusal(subject, limit, RateLimit.of(subject.published, row.logs, now), until)

    def _fields(self, rows: Sequence[Row], now: int) -> dict[str, str]:
        for subject, row in zip(self.subjects, rows, strict=True):
            if left := RateLimit.of(subject.published, row.logs, now):
                return left.fields(now)
        return {}


class Enter:
    """Enter something that happened at a time in a log, once, whatever the log says."""

    __slots__ = ("at", "keys", "limit")
    makes_room = False

    def __init__(self, key: str, limit: Limit, at: int) -> None:
        self.keys = (key,)
        self.limit = limit
        self.at = at

    def decide(self, rows: Rows, now: int) -> Answer[None]:
        """Enter it, unless it is there."""
        row = rows[self.keys[0]]
        log = self.limit.policy.enter(row.log(self.limit.log), self.at, now)
        if log == row.log(self.limit.log):
            return Answer(None, (), self.keys)
        return Answer(None, (_with_log(row, self.limit, log),), self.keys)


class TakeBack:
    """Take charges back from their rows; one that is in its log no more is let be."""

    __slots__ = ("charges", "keys")
    makes_room = True

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = charges
        self.keys = tuple({charge.key: None for charge in charges})

    def decide(self, rows: Rows, now: int) -> Answer[None]:
        """Take all of them back."""
        changed: dict[str, Row] = {}
        for charge in self.charges:
            row = changed.get(charge.key, rows[charge.key])
            log = Policy.refund(row.log(charge.log), charge.stamp)
            if len(log) < len(row.log(charge.log)):
                changed[charge.key] = row.with_log(charge.log, log)
        return Answer(None, tuple(changed.values()), self.keys)


def _charge(subject: Subject, row: Row, now: int, charges: list[Charge]) -> Row:
    for limit in subject.limits:
        if limit.charged:
            row = _entered(row, limit, now)
            charges.append(Charge(row.key, limit.log, row.logs[limit.log][-1]))
    return row


def _entered(row: Row, limit: Limit, now: int) -> Row:
    return _with_log(row, limit, limit.policy.admit(row.log(limit.log), now))


def _with_log(row: Row, limit: Limit, log: Log) -> Row:
    return row.with_log(limit.log, log, expires_at=log[-1] + limit.policy.longest_ms)
