"""The judge of traffic accuses whom it can prove something, and nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.throttle.policy import Policy
from tests.fleet.judge import Span, overfull, refused_too_early

THREE_IN_TWO_SECONDS = Policy.parse("3/2s")

policies = st.sampled_from([Policy.parse(text) for text in ("1/1s", "3/2s", "2/1s, 3/4s")])
moments = st.lists(st.integers(0, 10_000), max_size=30).map(sorted)
slack = st.integers(0, 3_000)


def admitted(*times: int) -> list[Span]:
    return [Span(time, time, admitted=True) for time in times]


def refused(time: int) -> Span:
    return Span(time, time, admitted=False)


def judged(policy: Policy, spans: list[Span]) -> bool:
    return not any(overfull(policy, spans)) and not any(refused_too_early(policy, spans))


def limited(policy: Policy, times: list[int]) -> list[Span]:
    """What an exact limiter makes of calls that are decided at these times."""
    log: tuple[int, ...] = ()
    spans = []
    for time in times:
        allowed = policy.check(log, time).allowed
        log = policy.admit(log, time) if allowed else log
        spans.append(Span(time, time, allowed))
    return spans


def counted(limit: int, period: int, times: list[int]) -> list[Span]:
    """What a counter per fixed window makes of them: the usual mistake."""
    used: dict[int, int] = {}
    spans = []
    for time in times:
        used[time // period] = used.get(time // period, 0) + 1
        spans.append(Span(time, time, used[time // period] <= limit))
    return spans


@given(policies, moments, st.data())
def test_exact_limiter_is_never_accused(policy: Policy, times: list[int], data: st.DataObject) -> None:
    """However long before and after its decision a call seems to begin and end."""
    spans = [
        Span(span.began - data.draw(slack), span.ended + data.draw(slack), span.admitted)
        for span in limited(policy, times)
    ]

    assert judged(policy, spans)


@given(policies, moments)
def test_one_more_than_the_limit_at_once_is_always_proven(policy: Policy, times: list[int]) -> None:
    """Where the times of the decisions are known, whoever is admitted into a full window shows."""
    spans = limited(policy, times)
    wrongly = [Span(span.began, span.ended, admitted=True) for span in spans]

    assert bool(list(overfull(policy, wrongly))) == (wrongly != spans)


@given(policies, moments)
def test_refusal_with_room_left_is_always_proven(policy: Policy, times: list[int]) -> None:
    """Where the times of the decisions are known, each call refused before its time shows."""
    wrongly = [span for span in limited(policy, times) if span.admitted]

    for number, span in enumerate(wrongly):
        early = Span(span.began, span.ended, admitted=False)
        assert list(refused_too_early(policy, [*wrongly[:number], early])) == [early]


def test_counter_of_fixed_windows_is_convicted() -> None:
    """Three just before the turn and three just after it: six within a second, which a counter lets in."""
    times = [1_900, 1_950, 1_990, 2_010, 2_050, 2_100]

    assert list(overfull(THREE_IN_TWO_SECONDS, counted(3, 2_000, times)))
    assert not list(overfull(THREE_IN_TWO_SECONDS, limited(THREE_IN_TWO_SECONDS, times)))


@pytest.mark.parametrize(
    ("last", "too_much"),
    [pytest.param(1_999, True, id="just-inside"), pytest.param(2_000, False, id="just-outside")],
)
def test_window_is_half_open(last: int, too_much: bool) -> None:
    """What is a whole period old does not count any more."""
    assert bool(list(overfull(THREE_IN_TWO_SECONDS, admitted(0, 1, 2, last)))) == too_much
    assert (
        bool(list(refused_too_early(THREE_IN_TWO_SECONDS, [*admitted(0, 1, 2), refused(last)]))) != too_much
    )


def test_calls_that_may_have_lain_apart_prove_nothing() -> None:
    """Four calls that took three seconds each can have been decided in two windows."""
    assert not list(overfull(THREE_IN_TWO_SECONDS, [Span(0, 3_000, admitted=True)] * 4))


def test_refusal_during_calls_that_may_have_come_first_proves_nothing() -> None:
    """Three that were under way at the same time can have filled the window before."""
    under_way = [Span(50, 500, admitted=True)] * 3

    assert not list(refused_too_early(THREE_IN_TWO_SECONDS, [*under_way, Span(0, 100, admitted=False)]))
    assert list(refused_too_early(THREE_IN_TWO_SECONDS, [*under_way, Span(0, 49, admitted=False)]))
