"""When a session is looked at again, and when it is given up. Pure arithmetic, in seconds."""

DEADLINE = 47 * 3_600
"""The age at which a session that brought no result has expired: an hour before Face forgets it."""

GIVEN_UP = DEADLINE + 50 * 60
"""The age at which it has expired even where Face could not be asked: there may be a result, and nobody can tell."""

FORGOTTEN = 48 * 3_600
"""The age at which Face forgets a session by itself: its page of the create operation, v1.1-preview.1."""

_NOT_THERE_YET = (30, 120, 600, 3_600, 4 * 3_600, 12 * 3_600)
_TROUBLE = (5, 15, 60, 300, 900, 3_600)
_LAST_HOUR = 300


def until_next_look(looks: int, age: float) -> float:
    """For a result that is not there yet, of a session of this age: longer each time."""
    return _in_time(_step(_NOT_THERE_YET, looks), age)


def after_trouble(failures: int, retry_after: float, open_age: float | None) -> float:
    """For something that failed and may work later: longer each time, and not before it said so itself.

    `open_age` is the age of a session whose outcome is still to be read, which has to be done in time whatever is
    said; None where there is none.
    """
    delay = max(_step(_TROUBLE, failures), retry_after)
    return delay if open_age is None else _in_time(delay, open_age)


def _in_time(delay: float, age: float) -> float:
    """Not beyond the next moment that matters; in its last hour a session is looked at every five minutes."""
    if age < DEADLINE:
        return max(1.0, min(delay, DEADLINE - age))
    if age < GIVEN_UP:
        return max(1.0, min(delay, _LAST_HOUR, GIVEN_UP - age))
    return delay


def _step(steps: tuple[int, ...], number: int) -> float:
    return float(steps[min(number, len(steps) - 1)])
