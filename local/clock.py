"""The clock of a local run: the machine's, and whatever it was moved on by."""

from shared.text import Clock, system_clock


class MovableClock:
    """A `Clock` that can be moved on, so that nobody has to wait for a session to expire. It never goes back."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self.moved_ms = 0
        self._clock = clock

    def __call__(self) -> int:
        """Answer the time in unix milliseconds."""
        return self._clock() + self.moved_ms

    def move_on(self, seconds: int) -> None:
        """Let `seconds` pass at once."""
        self.moved_ms += seconds * 1000
