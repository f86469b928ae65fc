"""The fault switch: makes the next calls fail, whatever they are."""

from local.simulator.messages import Answer


class FaultSwitch:
    """Off until `fail` is called, and again when `clear` is called or its count of calls has failed."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._left: int | None = None

    def fail(self, answer: Answer, count: int | None = None) -> None:
        """Let the next `count` calls get `answer`, or all of them until `clear`."""
        self._answer, self._left = answer, count

    def clear(self) -> None:
        """Let calls through."""
        self._answer, self._left = None, None

    def take(self) -> Answer | None:
        """Answer what the present call gets, or None where it is let through."""
        answer = self._answer
        if answer is not None and self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.clear()
        return answer
