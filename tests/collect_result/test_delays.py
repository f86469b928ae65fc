"""The delays of the collector: growing, and never past a deadline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collect_result.delays import DEADLINE, OUTAGE_DEADLINE, after_failure, until_next_look

HOUR = 3_600
DAY = 24 * HOUR

AGES = st.floats(0, 3 * DAY)


@pytest.mark.parametrize(
    ("failures", "delay"), [(0, 5), (1, 15), (2, 60), (3, 300), (4, 900), (5, HOUR), (6, HOUR), (99, HOUR)]
)
def test_delay_grows_with_each_failure(failures: int, delay: float) -> None:
    """Without an open result only the failures count."""
    assert after_failure(failures, 0.0, None) == delay
    assert after_failure(failures, HOUR - 1, None) == max(delay, HOUR - 1)
    assert after_failure(failures, 2 * DAY, None) == HOUR


@pytest.mark.parametrize(
    ("age", "failures", "retry_after", "delay"),
    [
        pytest.param(30 * HOUR, 0, DAY, HOUR, id="a quota may be raised before the day is over"),
        pytest.param(DEADLINE - 700, 0, DAY, 700, id="Retry-After ends at the deadline"),
        pytest.param(DEADLINE - 600, 5, 0, 600, id="so does the delay of the sixth failure"),
        pytest.param(DEADLINE, 0, 0, 5, id="past it the first failure is retried as always"),
        pytest.param(DEADLINE + 60, 5, DAY, 300, id="and after five minutes at the latest"),
        pytest.param(OUTAGE_DEADLINE - 40, 5, DAY, 40, id="until the outage deadline"),
        pytest.param(OUTAGE_DEADLINE, 5, DAY, HOUR, id="after which nothing is urgent"),
    ],
)
def test_open_result_is_tried_before_each_deadline(
    age: float, failures: int, retry_after: float, delay: float
) -> None:
    """No delay carries the message past the time in which Face still knows the result."""
    assert after_failure(failures, retry_after, age) == delay


@given(st.integers(0, 50), st.floats(0, 3 * DAY), AGES)
def test_no_delay_skips_a_deadline(number: int, retry_after: float, age: float) -> None:
    """Whatever the count and `Retry-After`: at least a second, and at most until the next deadline."""
    for delay in (after_failure(number, retry_after, age), until_next_look(number, age)):
        assert delay >= 1.0
        for deadline in (DEADLINE, OUTAGE_DEADLINE):
            if age < deadline:
                assert delay <= max(1.0, deadline - age)
