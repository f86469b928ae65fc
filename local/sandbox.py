"""The broker's budget for Face where Face is the simulator."""

from collections.abc import Callable

from shared.face.budget import Budget


class SandboxBudget(Budget):
    """A `Budget` that a magic device id does not slow down, because its 429 concerns one session only.

    `throttled` counts the 429s that concern the whole resource: those of the rate limit and of the fault switch. Only
    they lower the rate, as every 429 does in Azure.
    """

    def __init__(self, ceiling: float, throttled: Callable[[], int]) -> None:
        super().__init__(ceiling)
        self._throttled = throttled
        self._seen = throttled()

    def slow_down(self, began: float) -> None:
        """Lower the rate if the resource was throttled since the last call."""
        if (throttled := self._throttled()) > self._seen:
            self._seen = throttled
            super().slow_down(began)
