"""The arithmetic of limits over a log of admission times. It does no I/O and reads no clock."""

import re
from bisect import bisect_right
from dataclasses import field
from hashlib import sha256
from typing import Final, Self

from shared.values import immutable

Log = tuple[int, ...]
"""Admission times in unix milliseconds, sorted."""

MAX_LIMIT: Final = 1000
MAX_WINDOWS: Final = 4

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_MIN_PERIOD_MS: Final = _UNITS["s"]
_MAX_PERIOD_MS: Final = 31 * _UNITS["d"]
_STAMP_SPREAD_MS: Final = 1_000
_OVERRIDABLE: Final = ("client", "device", "principal")
_NAME: Final = re.compile(r"[a-z]{1,32}")
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,6})?([dhms])")
_EXPECTED: Final = (
    f"expected limits like '5/10m, 20/d': 1 to {MAX_LIMIT} in 1s to 31d (s, m, h or d), "
    f"at most {MAX_WINDOWS} with different periods, or 'off'"
)


@immutable
class Window:
    """At most `limit` admissions in any half-open interval of `period_ms` milliseconds.

    Raises `ValueError` unless the limit is 1 to 1000 and the period whole seconds, from one to 31 days.
    """

    limit: int
    period_ms: int
    period: str = field(init=False, compare=False)
    """The period in its largest whole unit: `10m`, `1d`. Header fields name it, so it is written once."""

    def __post_init__(self) -> None:
        in_bounds = 1 <= self.limit <= MAX_LIMIT and _MIN_PERIOD_MS <= self.period_ms <= _MAX_PERIOD_MS
        if not in_bounds or self.period_ms % _UNITS["s"]:
            raise ValueError(_EXPECTED)
        unit = next(unit for unit, size in _UNITS.items() if self.period_ms % size == 0)
        object.__setattr__(self, "period", f"{self.period_ms // _UNITS[unit]}{unit}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `5/10m` or `20/d`; raises `ValueError`."""
        found = _WINDOW.fullmatch(text)
        if found is None:
            raise ValueError(_EXPECTED)
        limit, count, unit = found.groups()
        return cls(int(limit), int(count or 1) * _UNITS[unit])

    def __str__(self) -> str:
        period = self.period
        return f"{self.limit}/{period[1:] if period[:-1] == '1' else period}"

    def state(self, log: Log, now: int) -> "WindowState":
        """Return what is left of this window at a time."""
        used = len(log) - bisect_right(log, now - self.period_ms)
        first_to_go = min(used, self.limit)
        reset = log[-first_to_go] + self.period_ms - now if used else 0
        return WindowState(self, self.limit - first_to_go, reset)


@immutable
class WindowState:
    """What is left of a window, and the milliseconds until the next unit comes back (0 where nothing is used)."""

    window: Window
    remaining: int
    reset_ms: int


@immutable
class Policy:
    """Windows that hold together, from the shortest to the longest period; a policy without windows is off.

    Exact both ways: no interval of a window's period has more admissions than its limit, and none is refused while
    fewer were admitted. Entries ahead of `now` count as within the window: another instance's clock may be ahead.
    """

    windows: tuple[Window, ...]

    def __post_init__(self) -> None:
        periods = [window.period_ms for window in self.windows]
        if len(periods) > MAX_WINDOWS or sorted(set(periods)) != periods:
            raise ValueError(_EXPECTED)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `5/10m, 20/d`, in any order, or `off`; raises a `ValueError` that does not repeat the text."""
        if text.strip() == "off":
            return cls(())
        windows = [Window.parse(part.strip()) for part in text.split(",")]
        return cls(tuple(sorted(windows, key=lambda window: window.period_ms)))

    def __str__(self) -> str:
        return ", ".join(map(str, self.windows)) or "off"

    @property
    def longest_ms(self) -> int:
        """The milliseconds for which an entry can matter."""
        return self.windows[-1].period_ms if self.windows else 0

    @property
    def _largest_limit(self) -> int:
        """More entries than this decide no more than these."""
        return max([window.limit for window in self.windows], default=0)

    def opens_at(self, log: Log) -> int:
        """Return the unix milliseconds from which on one more is admitted (0: always)."""
        entries, opens = len(log), 0
        for window in self.windows:
            if entries >= window.limit:
                opens = max(opens, log[-window.limit] + window.period_ms)
        return opens

    def admit(self, log: Log, now: int) -> Log:
        """Add one admission, without a check, and drop the entries that cannot matter any more.

        Its stamp is the last entry of the log returned. Where the clock is behind the newest entry, the stamp is that
        entry's, so that the log stays sorted. Entries as old as the longest period decide nothing, nor do more entries
        than the largest limit.
        """
        if not self.windows:
            return ()
        stamp = max(now, log[-1]) if log else now
        recent = log[bisect_right(log, now - self.longest_ms) :]
        return (*recent, stamp)[-self._largest_limit :]

    def enter(self, log: Log, at: int, now: int) -> Log:
        """Add an entry with its own time, unless the log has one with that time or it is too old to matter."""
        if at in log or at <= now - self.longest_ms:
            return log
        recent = sorted((*log[bisect_right(log, now - self.longest_ms) :], at))
        return tuple(recent)[-self._largest_limit :]

    @staticmethod
    def refund(log: Log, stamp: int) -> Log:
        """Remove one admission with this stamp, if there is one."""
        place = bisect_right(log, stamp) - 1
        return log[:place] + log[place + 1 :] if place >= 0 and log[place] == stamp else log


def failure_stamp(at: int, device: str, session_id: str) -> int:
    """Return the stamp under which a failed attempt of a session is entered: up to a second before its time `at`.

    Failed attempts of several sessions that have the same time would be one entry. So each session has an offset,
    always the same one: its attempts stay apart, and a repeated charge is the same entry. It is made from the
    device's pseudonym too, which is a keyed hash, so that no caller can work it out and aim at the same stamp.
    """
    digest = sha256(f"{device} {session_id}".encode()).digest()
    return at - int.from_bytes(digest[:8]) % _STAMP_SPREAD_MS


@immutable
class Limit:
    """One limit of a device, caller or address, under a `name` for header fields and logs (`device`).

    `log` names the log that it counts in (`created`). A limit that is not `charged` is only looked at. Names are
    1 to 32 letters a to z; raises `ValueError` for others.
    """

    name: str
    policy: Policy
    log: str
    charged: bool

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.name) and _NAME.fullmatch(self.log)):
            raise ValueError("expected a limit and its log to be named with 1 to 32 letters a to z")


class Limits(tuple[Limit, ...]):
    """The limits of a subject; limits that are off are left out. Raises `ValueError` where two count in one log."""

    __slots__ = ()

    def __new__(cls, *limits: Limit) -> Self:
        """Take the limits one by one."""
        if len({limit.log for limit in limits}) != len(limits):
            raise ValueError("expected each limit of a subject to have a log of its own")
        return super().__new__(cls, [limit for limit in limits if limit.policy.windows])


@immutable
class Override:
    """Another policy of a limit, for callers with this client id or issuer."""

    caller: str
    limit: str
    policy: Policy

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `https://issuer.example principal 600/10m`; raises `ValueError`."""
        caller, limit, policy = text.split(maxsplit=2)
        if limit not in _OVERRIDABLE:
            raise ValueError
        return cls(caller, limit, Policy.parse(policy))
