"""Where a process dies: ports that end it with SIGKILL before or after one of their calls."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Literal

from shared.storage.port import Table

Moment = Literal["before", "after"]

ANY_CALL = "any call"
"""As the call of a `Death`: the calls of all ports are counted together."""


@dataclass(frozen=True, slots=True)
class Death:
    """A process dies before or after this call of a port, such as the second `sessions.replace`."""

    moment: Moment
    call: str
    number: int = 1


class Fate:
    """Counts the calls of one process, and ends it at its death (None: it is spared)."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._calls: Counter[str] = Counter()

    def begin(self, call: str) -> int:
        """Note that a call begins; returns its number."""
        counted = self._counted(call)
        self._calls[counted] += 1
        self._meet(Death("before", counted, self._calls[counted]))
        return self._calls[counted]

    def end(self, call: str, number: int) -> None:
        """Note that the call of this number has had its effect."""
        self._meet(Death("after", self._counted(call), number))

    def _counted(self, call: str) -> str:
        return ANY_CALL if self._death and self._death.call == ANY_CALL else call

    def _meet(self, moment: Death) -> None:
        if self._death == moment:
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Stands in front of a port, and hands each of its calls to fate.

    A call is named `PORT.METHOD`; for a store the table is in the place of the port: `sessions.replace`.
    """

    def __init__(self, port_name: str, port: object, fate: Fate) -> None:
        self._port_name = port_name
        self._port = port
        self._fate = fate

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has.
        member = getattr(self._port, name)
        return partial(self._call, name, member) if iscoroutinefunction(member) else member

    async def _call(self, method: str, member: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        place = args[0].value if args and isinstance(args[0], Table) else self._port_name
        call = f"{place}.{method}"
        number = self._fate.begin(call)
        answer = await member(*args, **kwargs)
        self._fate.end(call, number)
        return answer
