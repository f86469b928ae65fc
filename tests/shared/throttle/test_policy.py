"""The arithmetic of limits, against arbitrary patterns of times and a naive reference."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.throttle.policy import Log, Policy, Window, WindowState, failure_stamp

DAY = 86_400_000


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw some windows of a few seconds with small limits."""
    seconds = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True))
    limits = draw(st.lists(st.integers(1, 6), min_size=4, max_size=4))
    windows = [Window(limit, 1000 * period) for limit, period in zip(limits, sorted(seconds), strict=False)]
    return Policy(tuple(windows))


steps = st.one_of(st.integers(0, 4000), st.sampled_from([0, 0, 1, 999, 1000, 1001, 2999, 3000, 3001, 9000]))
backward_steps = st.one_of(steps, st.integers(-5000, 0))


def times(gaps: list[int]) -> list[int]:
    """Turn steps of a clock into its readings."""
    now, readings = 100_000, []
    for gap in gaps:
        now += gap
        readings.append(now)
    return readings


def naive_allows(policy: Policy, history: list[int], now: int) -> bool:
    """Count, in each window, all that was ever admitted."""
    return all(
        sum(1 for stamp in history if stamp > now - window.period_ms) < window.limit
        for window in policy.windows
    )


def run(policy: Policy, readings: list[int]) -> tuple[Log, list[int], list[bool], list[bool]]:
    """Admit whatever is allowed; answer the log, all stamps, the answers, and those of the naive model."""
    log: Log = ()
    history: list[int] = []
    answers, expected = [], []
    for now in readings:
        expected.append(naive_allows(policy, history, now))
        answers.append(policy.opens_at(log) <= now)
        if answers[-1]:
            log = policy.admit(log, now)
            history.append(log[-1])
    return log, history, answers, expected


def filled(policy: Policy, gaps: list[int]) -> tuple[Log, int]:
    """Answer the log that a pattern of calls leaves, and the time of the last."""
    readings = times([0, *gaps])
    return run(policy, readings)[0], readings[-1]


@given(policies(), st.lists(steps, max_size=60))
def test_any_pattern_of_times_is_decided_like_a_naive_count(policy: Policy, gaps: list[int]) -> None:
    """With a clock that never goes back, the trimmed log decides like the whole history."""
    _, _, answers, expected = run(policy, times(gaps))
    assert answers == expected


@given(policies(), st.lists(backward_steps, max_size=60))
def test_clock_running_backwards_overfills_no_window_and_refuses_only_where_one_is_full(
    policy: Policy, gaps: list[int]
) -> None:
    """No stretch as long as a period holds more than its limit; a count of the whole history refuses the same."""
    _, history, answers, expected = run(policy, times(gaps))
    for window in policy.windows:
        for begin in history:
            assert sum(begin <= stamp < begin + window.period_ms for stamp in history) <= window.limit
    assert all(allowed or not naive for allowed, naive in zip(answers, expected, strict=True))


@given(policies(), st.lists(backward_steps, max_size=60))
def test_log_stays_sorted_and_bounded(policy: Policy, gaps: list[int]) -> None:
    """It holds no more than the largest limit, whatever was entered."""
    log: Log = ()
    for now in times(gaps):
        log = policy.admit(log, now)
        assert list(log) == sorted(log)
        assert len(log) <= max(window.limit for window in policy.windows)
        assert log[0] > now - policy.longest_ms


@given(policies(), st.lists(steps, max_size=40))
def test_the_time_from_which_one_more_is_admitted_is_exact(policy: Policy, gaps: list[int]) -> None:
    """A naive count admits a call at that time, and refuses one a millisecond earlier."""
    readings = times([0, *gaps])
    log, history, _, _ = run(policy, readings)
    now, opens_at = readings[-1], policy.opens_at(log)
    assert naive_allows(policy, history, max(now, opens_at))
    assert opens_at <= now or not naive_allows(policy, history, opens_at - 1)


@given(policies(), policies(), st.lists(backward_steps, max_size=40), steps)
def test_reset_is_when_the_next_unit_comes_back(
    before: Policy, policy: Policy, gaps: list[int], later: int
) -> None:
    """Each window has one unit more at its reset, and not one millisecond before; also when the policy changed."""
    log, now = filled(before, gaps)
    for window in policy.windows:
        state = window.state(log, now + later)
        at_reset = window.state(log, now + later + state.reset_ms).remaining
        if state.reset_ms == 0:
            assert state.remaining == window.limit
        else:
            assert state.remaining >= 0
            assert at_reset > state.remaining
            assert window.state(log, now + later + state.reset_ms - 1).remaining == state.remaining


@given(policies(), st.lists(steps, max_size=40), st.lists(steps, max_size=5), steps)
def test_refund_restores_what_was_left(
    policy: Policy, gaps: list[int], others: list[int], later: int
) -> None:
    """An admission taken back changes no later verdict, however many were admitted in between."""
    log, now = filled(policy, gaps)
    if policy.opens_at(log) > now:
        return
    charged, stamp = policy.admit(log, now), now
    for gap in others:
        now += gap
        if policy.opens_at(charged) <= now:
            charged, log = policy.admit(charged, now), policy.admit(log, now)
    refunded = Policy.refund(charged, stamp)
    opens_at = (policy.opens_at(refunded), policy.opens_at(log))
    assert opens_at[0] == opens_at[1] or max(opens_at) <= now + later
    for window in policy.windows:
        assert window.state(refunded, now + later) == window.state(log, now + later)


@pytest.mark.parametrize(
    ("log", "stamp", "left"),
    [((1, 3, 3, 5), 4, (1, 3, 3, 5)), ((), 4, ()), ((1, 3, 3, 5), 3, (1, 3, 5)), ((1, 3), 1, (3,))],
    ids=["unknown", "empty", "one-of-two", "first"],
)
def test_refund_takes_one_admission_with_its_stamp(log: Log, stamp: int, left: Log) -> None:
    """Two admissions of one millisecond are two."""
    assert Policy.refund(log, stamp) == left


@given(
    policies(),
    st.lists(st.sampled_from(range(100_000, 110_001, 500)), max_size=20),
    st.sampled_from(range(0, 4_001, 500)),
)
def test_entries_are_kept_once_and_in_order_as_long_as_they_matter(
    policy: Policy, entries: list[int], later: int
) -> None:
    """Whatever the order in which they are entered, and however often."""
    log: Log = ()
    for at in entries:
        log = policy.enter(log, at, 110_000)
    now = 110_000 + later
    log = policy.enter(log, now, now)
    recent = sorted({at for at in (*entries, now) if at > now - policy.longest_ms})
    assert log == tuple(recent)[-max(window.limit for window in policy.windows) :]


def test_state_tells_what_is_left_of_each_window() -> None:
    """The shorter is free again before the longer; the call waits for both."""
    policy, log = Policy.parse("2/10s, 3/1m"), (1_000, 52_000, 55_000)
    assert policy.opens_at(log) == 62_000
    assert [window.state(log, 58_000) for window in policy.windows] == [
        WindowState(policy.windows[0], 0, 4_000),
        WindowState(policy.windows[1], 0, 3_000),
    ]


def test_entry_ahead_of_the_clock_counts() -> None:
    """Another instance's clock may be ahead: what it admitted is within the window."""
    policy = Policy.parse("1/10s")
    assert policy.opens_at((5_000,)) == 15_000
    assert Policy.parse("2/10s").admit((5_000,), 1_000) == (5_000, 5_000)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("5/10m, 20/d", "5/10m, 20/d"),
        ("20/d,5/600s", "5/10m, 20/d"),
        (" 1/s ", "1/s"),
        ("3/90s", "3/90s"),
        ("3/24h", "3/d"),
        ("1000/31d", "1000/31d"),
        ("7/1h,8/2h,9/3h,10/4h", "7/h, 8/2h, 9/3h, 10/4h"),
        ("off", "off"),
        (" off ", "off"),
    ],
)
def test_text_of_a_policy_gives_its_canonical_text(text: str, canonical: str) -> None:
    """Order, spaces and units do not matter."""
    assert str(Policy.parse(text)) == canonical


@given(policies())
def test_canonical_text_gives_the_policy_back(policy: Policy) -> None:
    """Nothing is lost in the text."""
    assert Policy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "5", "5/", "/m", "5/10", "5/m,", "0/m", "1001/m", "5/0m", "5/32d", "5/2678401s", "-5/m",
        "5/-1m", "5/10M", "5 /m", "5/1.5m", "05/m", "5/010m", "\u0665/m", "5/m\n6/h", "none", "OFF",
        "off, 5/m", "5/10m, 6/600s", "1/s, 1/m, 1/h, 1/d, 1/2d", "99999999999/d", "5/99999999999d",
    ],
)  # fmt: skip
def test_text_that_is_no_policy_is_refused(text: str) -> None:
    """The error says what is expected, and does not repeat the value."""
    with pytest.raises(ValueError, match=r"^expected limits like '5/10m, 20/d'") as caught:
        Policy.parse(text)
    assert str(caught.value) == (
        "expected limits like '5/10m, 20/d': 1 to 1000 in 1s to 31d (s, m, h or d), "
        "at most 4 with different periods, or 'off'"
    )


@pytest.mark.parametrize(
    ("limit", "period_ms"), [(0, 1_000), (1_001, 1_000), (1, 0), (1, 1_500), (1, 31 * DAY + 1_000)]
)
def test_window_has_a_limit_and_a_period_within_bounds(limit: int, period_ms: int) -> None:
    """From 1 to 1000, in whole seconds up to 31 days."""
    with pytest.raises(ValueError, match="1 to 1000 in 1s to 31d"):
        Window(limit, period_ms)


def test_policy_that_is_off_admits_without_a_log() -> None:
    """It refuses nothing and keeps nothing."""
    off = Policy.parse("off")
    assert off.opens_at((1, 2, 3)) == 0
    assert off.admit((1, 2, 3), 3) == ()
    assert off.longest_ms == 0


@given(
    st.integers(2_000, 10**13),
    st.text(),
    st.uuids().map(str),
    st.lists(st.integers(0, 9), min_size=1, unique=True),
)
def test_failed_attempts_of_a_session_keep_their_distance(
    at: int, device: str, session_id: str, gaps: list[int]
) -> None:
    """Their stamps are less than a second early, and a repeated charge enters nothing."""
    policy = Policy.parse("1000/1d")
    log: Log = ()
    for gap in gaps * 2:
        log = policy.enter(log, failure_stamp(at + gap, device, session_id), at + 9)
    assert [stamp - log[0] for stamp in log] == [gap - min(gaps) for gap in sorted(gaps)]
    assert at - 1_000 < log[0] - min(gaps) <= at


def test_failed_attempts_of_one_millisecond_are_hardly_ever_one_entry() -> None:
    """Of five in different sessions, one in a hundred groups loses one."""
    groups = [[str(UUID(int=5 * number + one)) for one in range(5)] for number in range(1_000)]
    lost = [5 - len({failure_stamp(100_000, "a-device", one) for one in group}) for group in groups]
    assert 0 < sum(lost) < 20
    # The next release charges the same attempt under the same stamp.
    assert failure_stamp(100_000, "a-device", "a-session") == 99_308
    # Without the device's pseudonym, which is secret, nobody works a stamp out.
    assert len({failure_stamp(100_000, device, groups[0][0]) for device in "abc"}) == 3
