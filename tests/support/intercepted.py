"""What the doubles of our ports share: each call is noted, and a test may fail, lose or delay it."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

Effect = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a port: its method, the table where there is one, the keys it names, and if it is patient."""

    operation: str
    table: object = None
    keys: tuple[str, ...] = ()
    patient: bool = False


Around = Callable[[Call, Effect], Awaitable[Any]]
"""Runs a call: awaits its effect, or not, and returns what the caller gets."""


@dataclass
class Intercepted:
    """Notes calls and runs them as the test says.

    `calls` holds all calls, failed ones too. `around` runs each call; by default it awaits the effect.
    """

    calls: list[Call] = field(default_factory=list)
    around: Around | None = None
    _failures: dict[str, deque[Exception]] = field(default_factory=lambda: defaultdict(deque))
    _losses: dict[str, deque[Exception]] = field(default_factory=lambda: defaultdict(deque))

    def fail(self, operation: str, *errors: Exception) -> None:
        """Let the next calls of an operation raise these, one each, before they have any effect."""
        self._failures[operation].extend(errors)

    def lose(self, operation: str, *errors: Exception) -> None:
        """Let the next calls of an operation raise these, one each, after their effect: the answer is lost."""
        self._losses[operation].extend(errors)

    def count(self, *operations: str, table: object = None) -> int:
        """How many calls were made: of these operations, or of all; of one table, or of all."""
        return sum(
            (not operations or call.operation in operations) and (table is None or call.table is table)
            for call in self.calls
        )

    async def intercept(self, call: Call, effect: Callable[[], Awaitable[T]]) -> T:
        """Run one call of the double."""
        self.calls.append(call)
        if failures := self._failures[call.operation]:
            raise failures.popleft()
        answer: T = await (self.around(call, effect) if self.around else effect())
        if losses := self._losses[call.operation]:
            raise losses.popleft()
        return answer


def failing_once(operation: str, table: object, *, arrives: bool, error: Exception) -> Around:
    """Let one call of an operation on a table raise: before its effect or, where it `arrives`, after it."""
    failed: list[Call] = []

    async def around(call: Call, effect: Effect) -> Any:  # noqa: ANN401 - the answer of any port.
        if failed or (call.operation, call.table) != (operation, table):
            return await effect()
        failed.append(call)
        if arrives:
            await effect()
        raise error

    return around
