"""The RateLimit header fields."""

import re
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.throttle.headers import RateLimit, policy_fields
from shared.throttle.policy import Limit, Log
from tests.shared.throttle.builders import DEVICE, limit

NOW = 1_790_000_000_000
ITEM = re.compile(r'"([a-z]+-[0-9]+[smhd])"((?:;[a-z]=[0-9]+)+)')
"""An RFC 9651 string with integer parameters."""


def state_fields(limits: Sequence[Limit], log: Log, retry_after_ms: int | None = None) -> dict[str, str]:
    """Render the state of limits that count in one log."""
    left = RateLimit.of(limits, {"created": log}, NOW)
    assert left
    return left.fields(NOW, retry_after_ms)


def parsed(field: str) -> list[tuple[str, dict[str, int]]]:
    """Parse a list of items; fails for anything else."""
    found = [ITEM.fullmatch(item) for item in field.split(", ")]
    assert all(found)
    return [(item[1], {part[0]: int(part[2:]) for part in item[2][1:].split(";")}) for item in found if item]


def test_policies_are_rendered_like_the_draft() -> None:
    """Each window is a named policy with quota and seconds."""
    assert policy_fields([DEVICE]) == {"RateLimit-Policy": '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'}


@pytest.mark.parametrize(
    ("policy", "log", "field"),
    [
        ("5/10m, 20/d", (), '"device-10m";r=5'),
        ("5/10m, 20/d", (NOW - 180_500, NOW), '"device-10m";r=3;t=420'),
        ("5/10m, 20/d", tuple(range(NOW - 20_000_000, NOW - 10_000_000, 500_000)), '"device-1d";r=0;t=66400'),
        ("1/m, 1/h", (NOW,), '"device-1h";r=0;t=3600'),
    ],
    ids=["nothing-used", "short-window-has-less", "day-is-used-up", "equal-rest-names-longer-wait"],
)
def test_state_is_that_of_the_window_with_the_least_left(policy: str, log: Log, field: str) -> None:
    """The reset is left out where nothing is used."""
    assert state_fields([limit(policy)], log)["RateLimit"] == field


def test_cached_state_counts_its_reset_down() -> None:
    """Once the reset is over, it is left out."""
    left = RateLimit.of([DEVICE], {"created": (NOW - 595_500,) * 5}, NOW)
    assert left
    told = [left.fields(NOW + later)["RateLimit"] for later in (0, 500, 4_499, 4_500)]
    assert told == [f'"device-10m";r=0{reset}' for reset in (";t=5", ";t=4", ";t=1", "")]


def test_no_published_limit_gives_no_fields() -> None:
    """The device limit may be off."""
    assert RateLimit.of([], {}, NOW) is None
    assert policy_fields([]) == {}


@given(st.lists(st.integers(0, 90_000_000), max_size=20), st.integers(1, 90_000_000))
def test_fields_are_structured_and_reset_is_not_after_retry_after(
    ages: list[int], retry_after_ms: int
) -> None:
    """`t` is at most `Retry-After`, and `r` at most the quota."""
    log = tuple(sorted(NOW - age for age in ages))
    fields = state_fields([DEVICE], log, retry_after_ms)
    quotas = dict(parsed(fields["RateLimit-Policy"]))
    [(name, state)] = parsed(fields["RateLimit"])
    assert 0 <= state["r"] <= quotas[name]["q"]
    assert state.get("t", 1) <= min(quotas[name]["w"], ceil(retry_after_ms / 1000))
