"""When to look at a session again, and when to stop. Pure arithmetic, in seconds."""

DEADLINE = 47 * 3_600
"""The age at which a session without a result expires: an hour before Face forgets it."""

OUTAGE_DEADLINE = DEADLINE + 50 * 60
"""The age at which a session expires even if Face cannot be asked: any result is about to be lost."""

FORGOTTEN = 48 * 3_600
"""The age at which Face forgets a session by itself: its page of the create operation, v1.1-preview.1."""

_NOT_THERE_YET = (30, 120, 600, 3_600, 4 * 3_600, 12 * 3_600)
_FAILURE = (5, 15, 60, 300, 900, 3_600)
_LAST_HOUR = 300


def until_next_look(looks: int, age: float) -> float:
    """The delay for a session of this age without a result yet: longer after each look."""
    return _in_time(_step(_NOT_THERE_YET, looks), age)


def after_failure(failures: int, retry_after: float, open_age: float | None) -> float:
    """The delay after a failure: longer after each one, and at least `retry_after`, but an hour at most.

    A quota's `retry_after` can be days, and an operator can raise the quota before. `open_age` is the age of a session
    whose result is still to be read, which has a deadline; None where there is no result to read.
    """
    delay = max(_step(_FAILURE, failures), min(retry_after, _FAILURE[-1]))
    return delay if open_age is None else _in_time(delay, open_age)


def _in_time(delay: float, age: float) -> float:
    """Shorten a delay to end at the next deadline; past the first one, a session is looked at every five minutes."""
    if age < DEADLINE:
        return max(1.0, min(delay, DEADLINE - age))
    if age < OUTAGE_DEADLINE:
        return max(1.0, min(delay, _LAST_HOUR, OUTAGE_DEADLINE - age))
    return delay


def _step(steps: tuple[int, ...], number: int) -> float:
    return float(steps[min(number, len(steps) - 1)])
