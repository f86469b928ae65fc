"""What the answers to traffic prove about the limits, whatever happened on the way.

When exactly a create was decided is known to nobody outside: some time between its beginning and its end. So only
what holds for every moment in there counts as proof.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.throttle.policy import Policy, Window


@dataclass(frozen=True, slots=True)
class Span:
    """One call: when it began and ended, in whole milliseconds of the broker's clock, and whether it was admitted."""

    began: int
    ended: int
    admitted: bool


def overfull(policy: Policy, spans: Sequence[Span]) -> Iterator[tuple[Window, Span]]:
    """Answer the windows that certainly held too much, each with the call that it began with.

    More calls than the limit certainly lay within a period: from the beginning of the first of them to the end of
    the last it is shorter than that.
    """
    admitted = sorted((span for span in spans if span.admitted), key=lambda span: span.began)
    for window in policy.windows:
        for number, first in enumerate(admitted):
            within = sum(span.ended - first.began < window.period_ms for span in admitted[number:])
            if within > window.limit:
                yield window, first


def refused_too_early(policy: Policy, spans: Sequence[Span]) -> Iterator[Span]:
    """Answer the refused calls at no moment of which any window can have held as much as its limit."""
    admitted = [span for span in spans if span.admitted]
    for refused in (span for span in spans if not span.admitted):
        if not any(_may_be_full(window, refused, admitted) for window in policy.windows):
            yield refused


def _may_be_full(window: Window, refused: Span, admitted: Sequence[Span]) -> bool:
    # What may be in the window only grows when a call begins: these moments stand for all between them.
    begun = [span.began for span in admitted if refused.began < span.began <= refused.ended]
    return any(_most_at(moment, window, admitted) >= window.limit for moment in (refused.began, *begun))


def _most_at(moment: int, window: Window, admitted: Sequence[Span]) -> int:
    return sum(span.began <= moment < span.ended + window.period_ms for span in admitted)
