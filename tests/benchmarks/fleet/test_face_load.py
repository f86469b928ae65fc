"""The fleet under Face's rate: most of it ends in completed checks, and a refusal stops nobody."""

import logging
from collections.abc import Iterator

import pytest

from benchmarks.fleet.face_load import simulate_load


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """Leave out the thousands of lines about calls that Face refused."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("instances", [1, 4])
def test_most_of_the_rate_of_face_ends_in_completed_checks(instances: int) -> None:
    """At one and a half times what Face can carry, with the deployed limiter, budget and client."""
    result = simulate_load(instances, 1.5, seconds=300, seed=7)

    assert result.completed >= 0.9
    assert result.throttled <= 0.05


def test_one_long_refusal_slows_creates_down_and_does_not_stop_them() -> None:
    """Face refuses one call for 26 seconds in the third minute: each minute has its sessions."""
    told = simulate_load(4, 1.0, seconds=300, seed=7, told_at=130.0)
    usual = simulate_load(4, 1.0, seconds=300, seed=7)

    assert min(told.created) >= 0.6 * min(usual.created)


def test_the_same_seed_gives_the_same_result() -> None:
    """Nothing but the arguments decides."""
    assert simulate_load(2, 1.0, seconds=70, seed=3) == simulate_load(2, 1.0, seconds=70, seed=3)
