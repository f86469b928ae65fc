"""The header fields `RateLimit-Policy` and `RateLimit`, after draft-ietf-httpapi-ratelimit-headers-11."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Self

from shared.throttle.model import Limit
from shared.throttle.policy import Log, Window, WindowState


def policy_fields(limits: Sequence[Limit]) -> dict[str, str]:
    """Render what limits there are, whatever is left of them: `"device-10m";q=5;w=600`."""
    items = [_policy(limit, window) for limit in limits for window in limit.policy.windows]
    return {"RateLimit-Policy": ", ".join(items)} if items else {}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is left of the window closest to its end, among some limits; `reset_at` in unix milliseconds."""

    policy: Mapping[str, str]
    item: str
    reset_at: int

    @classmethod
    def of(cls, limits: Sequence[Limit], logs: Mapping[str, Log], now: int) -> Self | None:
        """Look at the logs of limits at a time; None where there are no limits."""
        if not limits:
            return None
        limit, state = _closest(limits, logs, now)
        return cls(
            policy_fields(limits), f"{_name(limit, state.window)};r={state.remaining}", now + state.reset_ms
        )

    def fields(self, now: int, retry_after_ms: int | None = None) -> dict[str, str]:
        """Render the limits, and what is left of this window: `"device-10m";r=3;t=420`.

        `t` says in how many seconds the next unit comes back. It is left out where nothing is used, and where it
        would lie after the time that the answer's `Retry-After` names, which the draft asks a server not to do.
        """
        reset_ms = self.reset_at - now
        late = retry_after_ms is not None and _seconds(reset_ms) > _seconds(retry_after_ms)
        tells = "" if reset_ms <= 0 or late else f";t={_seconds(reset_ms)}"
        return {**self.policy, "RateLimit": self.item + tells}


def _closest(limits: Sequence[Limit], logs: Mapping[str, Log], now: int) -> tuple[Limit, WindowState]:
    states = [
        (limit, window.state(logs.get(limit.log, ()), now))
        for limit in limits
        for window in limit.policy.windows
    ]
    return min(states, key=lambda named: (named[1].remaining, -named[1].reset_ms))


def _policy(limit: Limit, window: Window) -> str:
    return f"{_name(limit, window)};q={window.limit};w={window.period_ms // 1000}"


def _name(limit: Limit, window: Window) -> str:
    return f'"{limit.name}-{window.period}"'


def _seconds(milliseconds: int) -> int:
    return ceil(milliseconds / 1000)
