"""The header fields `RateLimit-Policy` and `RateLimit`, after draft-ietf-httpapi-ratelimit-headers-11."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Self

from shared.throttle.policy import Limit, Log
from shared.values import immutable


def policy_fields(limits: Sequence[Limit]) -> dict[str, str]:
    """Render the limits alone: `"device-10m";q=5;w=600`."""
    items = [
        f'"{limit.name}-{window.period}";q={window.limit};w={window.period_ms // 1000}'
        for limit in limits
        for window in limit.policy.windows
    ]
    return {"RateLimit-Policy": ", ".join(items)} if items else {}


@immutable
class RateLimit:
    """Some limits, and the state of the window that has the least left; `reset_at` in unix milliseconds."""

    limits: Sequence[Limit]
    name: str
    remaining: int
    reset_at: int

    @classmethod
    def of(cls, limits: Sequence[Limit], logs: Mapping[str, Log], now: int) -> Self | None:
        """Find the window with the least left, among equals the one that resets last; None without limits."""
        states = [
            (limit, window.state(logs.get(limit.log, ()), now))
            for limit in limits
            for window in limit.policy.windows
        ]
        if not states:
            return None
        limit, state = min(states, key=lambda named: (named[1].remaining, -named[1].reset_ms))
        return cls(limits, f"{limit.name}-{state.window.period}", state.remaining, now + state.reset_ms)

    def fields(self, now: int, retry_after_ms: int | None = None) -> dict[str, str]:
        """Render the limits and the state: `"device-10m";r=3;t=420`.

        `t` says in how many seconds the next unit comes back. It is left out where nothing is used, and where it
        would be later than the response's `Retry-After`, because the draft asks servers not to send that.
        """
        reset = ceil((self.reset_at - now) / 1000)
        is_late = retry_after_ms is not None and reset > ceil(retry_after_ms / 1000)
        item = f'"{self.name}";r={self.remaining}'
        if reset > 0 and not is_late:
            item += f";t={reset}"
        return {**policy_fields(self.limits), "RateLimit": item}
