"""What an operator wants to see of the broker that runs here: for the console page alone, and never in Azure."""

import json
import logging
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Final, Self

from health.use_case import check_dependencies
from local.queues import MessageSource
from shared.app import App
from shared.errors import StorageUnavailable
from shared.face.budget import Budget
from shared.sessions.store import unverified
from shared.storage.port import SearchableStore, Table
from shared.text import Clock, rfc3339

# All events have come by then (docs/events.md).
_WITH_EVENTS_MS: Final = 50 * 3600 * 1000
_MOST_TROUBLE: Final = 20
_REFUSAL_LOG: Final = "shared.web.endpoint"
_REFUSED: Final = "request_refused"


class RecentLog(logging.Handler):
    """Counts the refusals in the log by their code, and keeps its newest warnings and errors, until the block ends."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self.refusals: Counter[str] = Counter()
        self.trouble: deque[Mapping[str, str]] = deque(maxlen=_MOST_TROUBLE)
        self._clock = clock

    def __enter__(self) -> Self:
        refusals = logging.getLogger(_REFUSAL_LOG)
        refusals.addFilter(self._note_refusal)
        # A refusal is information, which the logs of local runs leave out.
        refusals.setLevel(logging.INFO)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        refusals = logging.getLogger(_REFUSAL_LOG)
        refusals.removeFilter(self._note_refusal)
        refusals.setLevel(logging.NOTSET)
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning or an error."""
        self.trouble.append(
            {"time": rfc3339(self._clock()), "level": record.levelname, "text": record.getMessage()}
        )

    def _note_refusal(self, record: logging.LogRecord) -> bool:
        """Count a refusal; returns whether the record is for other logs too."""
        if record.levelno < logging.WARNING:
            fields = json.loads(record.getMessage())
            if fields["event"] == _REFUSED:
                self.refusals[fields["code"]] += 1
        return record.levelno >= logging.WARNING


class OperatorView:
    """Looks at the app, its queue, its budget for Face and its log."""

    def __init__(self, app: App, source: MessageSource, budget: Budget, log: RecentLog) -> None:
        self._app = app
        self._source = source
        self._budget = budget
        self._log = log

    async def status(self) -> dict[str, Any]:
        """Return all that can be seen without a call of Face; numbers are null where storage does not answer."""
        waiting: int | None
        poison: int | None
        owed: int | None
        try:
            waiting, poison = await self._source.depths()
            owed = await self._owed()
        except StorageUnavailable:
            waiting = poison = owed = None
        return {
            "queue": {"waiting": waiting, "poison": poison},
            "owed": owed,
            "face": {
                "callsPerSecond": round(self._budget.rate, 2),
                "ceiling": self._app.settings.face_max_tps,
            },
            "refusals": dict(self._log.refusals.most_common()),
            "trouble": list(self._log.trouble),
        }

    async def readiness(self) -> dict[str, Any]:
        """Check each dependency, as `GET /api/ready` does: one call of Face."""
        found = await check_dependencies(self._app, str(uuid.uuid4()))
        return {"dependencies": [{"name": each.name, "problem": each.problem} for each in found]}

    async def _owed(self) -> int:
        """Count the sessions whose token has ended, and whose event is not published. It reads the whole table."""
        now, store = self._app.clock(), self._app.store
        # Both stores can be searched; the app has no use for that.
        searchable: SearchableStore = store  # type: ignore[assignment]
        owed = 0
        async for entity in searchable.between(Table.SESSIONS, "created_at", now - _WITH_EVENTS_MS, now + 1):
            record = unverified(entity).record
            owed += record.owes_event and now > record.token_expires_at
        return owed
