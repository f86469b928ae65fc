"""The header fields `RateLimit-Policy` and `RateLimit`, after draft-ietf-httpapi-ratelimit-headers-11."""

from collections.abc import Mapping, Sequence
from math import ceil

from shared.throttle.model import Limit
from shared.throttle.policy import Log, Window, WindowState


def policy_fields(limits: Sequence[Limit]) -> dict[str, str]:
    """Render what limits there are, whatever is left of them: `"device-10m";q=5;w=600`."""
    items = [_policy(limit, window) for limit in limits for window in limit.policy.windows]
    return {"RateLimit-Policy": ", ".join(items)} if items else {}


def state_fields(
    limits: Sequence[Limit], logs: Mapping[str, Log], now: int, retry_after_ms: int | None = None
) -> dict[str, str]:
    """Render the limits, and what is left of the window closest to its end: `"device-10m";r=3;t=420`.

    `t` says in how many seconds the next unit comes back. It is left out where nothing is used, and where it
    would lie after the time that the answer's `Retry-After` names, which the draft asks a server not to do.
    """
    fields = policy_fields(limits)
    if fields:
        fields["RateLimit"] = _closest(limits, logs, now, retry_after_ms)
    return fields


def _closest(limits: Sequence[Limit], logs: Mapping[str, Log], now: int, retry_after_ms: int | None) -> str:
    states = [
        (limit, window.state(logs.get(limit.log, ()), now))
        for limit in limits
        for window in limit.policy.windows
    ]
    limit, state = min(states, key=lambda named: (named[1].remaining, -named[1].reset_ms))
    item = f"{_name(limit, state.window)};r={state.remaining}"
    return f"{item};t={_seconds(state.reset_ms)}" if _tells_reset(state, retry_after_ms) else item


def _tells_reset(state: WindowState, retry_after_ms: int | None) -> bool:
    if retry_after_ms is None:
        return state.reset_ms > 0
    return 0 < _seconds(state.reset_ms) <= _seconds(retry_after_ms)


def _policy(limit: Limit, window: Window) -> str:
    return f"{_name(limit, window)};q={window.limit};w={window.period_ms // 1000}"


def _name(limit: Limit, window: Window) -> str:
    return f'"{limit.name}-{window.period}"'


def _seconds(milliseconds: int) -> int:
    return ceil(milliseconds / 1000)
