"""The RateLimit header fields, and what they keep to themselves."""

import re
from collections.abc import Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.throttle import Limit, Subject
from shared.throttle.headers import RateLimit, policy_fields
from shared.throttle.policy import Log
from tests.shared.throttle.doubles import DEVICE, FAILURES, client, device, limit

NOW = 1_790_000_000_000
ITEM = re.compile(r'"([a-z]+-[0-9]+[smhd])"((?:;[a-z]=[0-9]+)+)')
"""An RFC 9651 string with integer parameters."""


def state_fields(limits: Sequence[Limit], log: Log, retry_after_ms: int | None = None) -> dict[str, str]:
    """Render what is left of limits that count in one log."""
    left = RateLimit.of(limits, {"created": log}, NOW)
    assert left
    return left.fields(NOW, retry_after_ms)


def parsed(field: str) -> list[tuple[str, dict[str, int]]]:
    """Read a list of items; fails where anything else is in it."""
    found = [ITEM.fullmatch(item) for item in field.split(", ")]
    assert all(found)
    return [(item[1], {part[0]: int(part[2:]) for part in item[2][1:].split(";")}) for item in found if item]


def test_policies_are_rendered_like_the_draft() -> None:
    """Each window is a named policy with quota and seconds."""
    assert policy_fields([DEVICE]) == {"RateLimit-Policy": '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'}


def test_state_is_that_of_the_window_closest_to_its_end() -> None:
    """Here the short one: three are left of it, and seventeen or so of the day."""
    log = (NOW - 180_500, NOW)
    fields = state_fields([DEVICE], log)
    assert fields["RateLimit"] == '"device-10m";r=3;t=420'


def test_state_of_an_exhausted_day_names_the_day() -> None:
    """Nothing is left of the day, while the short window is free again."""
    log = tuple(range(NOW - 20_000_000, NOW - 10_000_000, 500_000))
    fields = state_fields([DEVICE], log)
    assert fields["RateLimit"] == '"device-1d";r=0;t=66400'


def test_state_of_windows_with_equal_rest_names_the_longer_wait() -> None:
    """Both are used up; what helps is to know when the last of them opens."""
    fields = state_fields([limit("1/m, 1/h", log="created")], (NOW,))
    assert fields["RateLimit"] == '"device-1h";r=0;t=3600'


def test_state_of_an_unused_limit_has_no_reset() -> None:
    """Nothing is out that could come back."""
    assert state_fields([DEVICE], ())["RateLimit"] == '"device-10m";r=5'


def test_state_that_is_remembered_tells_the_reset_as_it_is_by_then() -> None:
    """It comes nearer as time passes; once it is over, nothing is said of it."""
    left = RateLimit.of([DEVICE], {"created": (NOW - 595_500,) * 5}, NOW)
    assert left
    told = [left.fields(NOW + later)["RateLimit"] for later in (0, 500, 4_499, 4_500)]
    assert told == [f'"device-10m";r=0{reset}' for reset in (";t=5", ";t=4", ";t=1", "")]


def test_no_published_limit_gives_no_fields() -> None:
    """With the device limit off, nothing is said."""
    assert RateLimit.of([], {}, NOW) is None
    assert policy_fields([]) == {}


@given(st.lists(st.integers(0, 90_000_000), max_size=20), st.integers(1, 90_000_000))
def test_fields_are_structured_and_reset_is_not_after_retry_after(
    ages: list[int], retry_after_ms: int
) -> None:
    """`Retry-After` does not lie before `t`; remaining is never more than the quota."""
    log = tuple(sorted(NOW - age for age in ages))
    fields = state_fields([DEVICE], log, retry_after_ms)
    quotas = dict(parsed(fields["RateLimit-Policy"]))
    [(name, state)] = parsed(fields["RateLimit"])
    assert 0 <= state["r"] <= quotas[name]["q"]
    assert state.get("t", 1) <= min(quotas[name]["w"], ceil(retry_after_ms / 1000))


@pytest.mark.parametrize(
    ("subject", "published"),
    [(device(), (DEVICE,)), (client(), ()), (device("a", FAILURES), ())],
    ids=["device", "shared", "only-looked-at"],
)
def test_only_the_limits_of_the_device_are_published(subject: Subject, published: tuple[Limit, ...]) -> None:
    """What is left of shared limits and of failures is told to nobody."""
    assert subject.published == published
