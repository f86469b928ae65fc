"""How long a message waits before it is tried again. Pure arithmetic, in seconds."""

_NOT_THERE_YET = (30, 120, 600, 3_600, 4 * 3_600, 12 * 3_600)
_TROUBLE = (5, 15, 60, 300, 900, 3_600)


def until_next_look(attempt: int, remaining: float) -> float:
    """For a result that is not there yet: longer each time, and not beyond what remains until the deadline."""
    return max(1.0, min(_step(_NOT_THERE_YET, attempt), remaining))


def after_trouble(attempt: int, retry_after: float) -> float:
    """For something that failed and may work later: longer each time, and not before it said so itself."""
    return max(_step(_TROUBLE, attempt), retry_after)


def _step(steps: tuple[int, ...], attempt: int) -> float:
    return float(steps[min(attempt, len(steps) - 1)])
