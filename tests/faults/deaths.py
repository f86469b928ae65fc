"""Kills the process before or after one of its calls of a port."""

import os
import signal
from collections import Counter
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Fate:
    """The calls of one process, and its death (None: it lives)."""

    death: Death | None
    calls: Counter[str] = field(default_factory=Counter)

    async def call(self, name: str, member: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any port.
        """Run a call, and die if its time has come."""
        death = self.death
        if death is None:
            return await member(*args, **kwargs)
        counted = ANY_CALL if death.call == ANY_CALL else name
        self.calls[counted] += 1
        is_deadly = (counted, self.calls[counted]) == (death.call, death.number)
        if is_deadly and death.moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await member(*args, **kwargs)
        finally:
            # Also after a call that raised, such as a write that lost its race.
            if is_deadly:
                os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """A port whose calls run under a fate.

    A call is named `PORT.METHOD`; for a store the table is in the place of the port: `sessions.replace`.
    """

    def __init__(self, port_name: str, port: object, fate: Fate) -> None:
        self._port_name = port_name
        self._port = port
        self._fate = fate

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any member of the port.
        member = getattr(self._port, name)
        return partial(self._call, name, member) if iscoroutinefunction(member) else member

    async def _call(self, method: str, member: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        place = args[0].value if args and isinstance(args[0], Table) else self._port_name
        return await self._fate.call(f"{place}.{method}", member, *args, **kwargs)
