"""The peers' algorithms count as their kind does, and the broker's exactly."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fleet.algorithms import (
    Algorithm,
    ExactLog,
    FixedWindow,
    SlidingCounter,
    TokenBucket,
)
from shared.throttle.policy import Window

WINDOW = Window.parse("4/10s")
PERIOD = WINDOW.period_ms

Make = Callable[[Window], Algorithm]
every_algorithm = pytest.mark.parametrize("make", [ExactLog, FixedWindow, SlidingCounter, TokenBucket])
# A loaded machine takes its time.
some = settings(max_examples=60)
pauses = st.lists(st.sampled_from([0, 1, 40, 900, 2_499, 2_500, 5_000, 9_999, PERIOD]), max_size=40)


def ask(algorithm: Algorithm, times: Sequence[int]) -> list[int]:
    """Ask at each of these times, and answer when a call was admitted."""
    admitted = []
    for now in times:
        if algorithm.wait(now) == 0:
            algorithm.take(now)
            admitted.append(now)
    return admitted


def before(admitted: Sequence[int], now: int) -> int:
    """Count what was admitted in the window that ends now."""
    return sum(now - PERIOD < at <= now for at in admitted)


@some
@given(pauses)
def test_any_pattern_against_the_log_is_admitted_exactly_while_there_is_room(steps: list[int]) -> None:
    """The broker's policy admits a call if, and only if, fewer than the limit were admitted in the window before."""
    log = ExactLog(WINDOW)
    admitted: list[int] = []
    for now in accumulate(steps, initial=7 * PERIOD):
        there_is_room = before(admitted, now) < WINDOW.limit
        assert (log.wait(now) == 0) is there_is_room
        admitted += ask(log, [now])


@every_algorithm
@some
@given(steps=pauses)
def test_any_pattern_never_gets_more_than_twice_the_limit(make: Make, steps: list[int]) -> None:
    """No peer is so badly made that it admits more than its kind is known to."""
    admitted = ask(make(WINDOW), list(accumulate(steps, initial=7 * PERIOD)))
    assert all(before(admitted, at) <= 2 * WINDOW.limit for at in admitted)


@every_algorithm
@some
@given(steps=pauses)
def test_a_refusal_names_the_first_time_at_which_a_call_is_admitted(make: Make, steps: list[int]) -> None:
    """Whatever came before, the wait ends when it says, and not a millisecond earlier."""
    algorithm = make(WINDOW)
    times = list(accumulate(steps, initial=7 * PERIOD))
    ask(algorithm, times)
    if wait := algorithm.wait(times[-1]):
        assert algorithm.wait(times[-1] + wait - 1) > 0
        assert algorithm.wait(times[-1] + wait) == 0


@every_algorithm
@some
@given(steps=pauses)
def test_a_charge_taken_back_leaves_the_state_as_it_was(make: Make, steps: list[int]) -> None:
    """Taking one and giving it back changes no later answer."""
    touched, untouched = make(WINDOW), make(WINDOW)
    times = list(accumulate(steps, initial=7 * PERIOD))
    ask(touched, times)
    ask(untouched, times)
    if touched.wait(times[-1]) == 0:
        touched.take(times[-1])
        touched.give_back(times[-1])
    later = [times[-1] + number * 700 for number in range(30)]
    assert ask(touched, later) == ask(untouched, later)


def test_a_fixed_window_forgets_all_when_the_clock_turns() -> None:
    """Four at the end of one window and four at the start of the next are admitted, and then none."""
    times = [9_990] * 5 + [10_000] * 5 + [19_999]
    assert ask(FixedWindow(WINDOW), times) == [9_990] * 4 + [10_000] * 4


def test_a_sliding_counter_weighs_the_last_window_as_if_it_were_spread_evenly() -> None:
    """A quarter of the last window's four has gone by after 2.5 s, which leaves room for one."""
    counter = SlidingCounter(WINDOW)
    ask(counter, [1_000] * 4)
    assert ask(counter, [12_499, 12_500, 12_501, 14_999, 15_000]) == [12_500, 15_000]


def test_a_token_bucket_gives_all_at_once_and_then_at_its_rate() -> None:
    """Four tokens are there, and one comes every 2.5 s."""
    times = [100_000] * 5 + [102_499, 102_500, 102_501, 105_000]
    assert ask(TokenBucket(WINDOW), times) == [100_000] * 4 + [102_500, 105_000]
