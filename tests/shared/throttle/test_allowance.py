"""How often an instance does something for a key."""

from hypothesis import given
from hypothesis import strategies as st

from shared.throttle import Allowance
from tests.support.time import FakeClock


@given(
    st.lists(st.tuples(st.integers(0, 1_500), st.sampled_from("abc")), max_size=60),
)
def test_each_key_has_its_turn_once_in_a_while_and_no_less(steps: list[tuple[int, str]]) -> None:
    """Two turns of a key are never closer than the time between them, and none is kept from who waited as long."""
    clock = FakeClock()
    allowance = Allowance(clock, every_ms=1_000)
    last: dict[str, int] = {}
    for wait, key in steps:
        clock.advance_seconds(wait / 1000)
        due = key not in last or clock() - last[key] >= 1_000
        assert allowance.take(key) is due
        if due:
            last[key] = clock()


def test_clock_that_is_set_back_keeps_nobody_out() -> None:
    """A turn that was taken in what is now the future holds nothing up."""
    clock = FakeClock()
    allowance = Allowance(clock, every_ms=1_000)
    allowance.take("a")
    clock.advance_seconds(-3600)

    assert allowance.take("a")


def test_memory_is_bounded() -> None:
    """Of more keys than it remembers, those that were used last count."""
    allowance = Allowance(FakeClock(), every_ms=1_000, size=2)
    for key in "abc":
        allowance.take(key)

    assert (allowance.take("c"), allowance.take("b"), allowance.take("a")) == (False, False, True)
