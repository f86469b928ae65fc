"""A clock that only moves when a test moves it."""


class FakeClock:
    """Unix milliseconds, from a fixed moment on."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1000)
