"""What an operator wants to see of the broker that runs here: for the console page alone, and never in Azure."""

import json
import logging
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from health.use_case import check_dependencies
from local.queues import MessageSource
from shared.app import App
from shared.errors import StorageUnavailable
from shared.face.budget import Budget
from shared.storage.port import SearchableStore
from shared.text import Clock, rfc3339

_MOST_SHOWN: Final = 10
_MOST_TROUBLE: Final = 20
_REFUSAL_LOG: Final = "shared.web.endpoint"
_REFUSED: Final = "request_refused"
_FACE_CALLED: Final = "face_called"


class RecentLog(logging.Handler):
    """Counts in the log what was refused, and keeps its newest warnings and errors, until the block ends.

    `refusals` are the refused requests by their code, `face_errors` the failed calls of Face by their error.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self.refusals: Counter[str] = Counter()
        self.face_errors: Counter[str] = Counter()
        self.trouble: deque[Mapping[str, Any]] = deque(maxlen=_MOST_TROUBLE)
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
        """Keep a warning or an error, with its fields if the broker wrote it."""
        text = record.getMessage()
        fields = _fields_in(text)
        if fields.get("event") == _FACE_CALLED:
            self.face_errors[fields["error"]] += 1
        self.trouble.append(
            {"time": rfc3339(self._clock()), "level": record.levelname, "text": text, "fields": fields}
        )

    def _note_refusal(self, record: logging.LogRecord) -> bool:
        """Count a refusal; returns whether the record is for other logs too."""
        if record.levelno < logging.WARNING:
            fields = _fields_in(record.getMessage())
            if fields.get("event") == _REFUSED:
                # One line may stand for many, in a flood.
                self.refusals[fields["code"]] += fields.get("times", 1)
        return record.levelno >= logging.WARNING


def _fields_in(text: str) -> Mapping[str, Any]:
    """The fields of a line that the broker wrote; none for the lines of others."""
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


@dataclass(frozen=True, slots=True)
class OperatorsShell:
    """How `ops` is called for what this broker works on: first `settings`, if it is not empty, then `ops`."""

    settings: str
    ops: str


class OperatorView:
    """Looks at the app, its queue, its budget for Face and its log.

    `deliveries` is how often the host tries a message. `shell` is None where state is in memory: no other process can
    work on that.
    """

    def __init__(
        self,
        app: App,
        source: MessageSource,
        budget: Budget,
        log: RecentLog,
        *,
        deliveries: int,
        shell: OperatorsShell | None = None,
    ) -> None:
        self._app = app
        self._source = source
        self._budget = budget
        self._log = log
        self._deliveries = deliveries
        self._shell = shell

    async def status(self) -> dict[str, Any]:
        """Return all that can be seen without a call of Face.

        Where storage does not answer, `queue`, `owed` or `poison` is null, and `problem` says why.
        """
        # Imported late: nobody may look, and a run should start fast.
        from ops.output import CommandFailed

        problem = queue = owed = poison = None
        try:
            waiting, poisoned = await self._source.depths()
            oldest = await self._source.oldest_due()
            queue = {"messages": waiting, "oldestDue": None if oldest is None else rfc3339(oldest)}
            owed, last_errors = await self._owed()
            poison = await self._poison(poisoned, last_errors)
        except StorageUnavailable as fault:
            problem = fault.detail
        except CommandFailed as fault:
            problem = str(fault)
        return {
            "problem": problem,
            "settings": self._shell and self._shell.settings,
            "queue": queue,
            "owed": owed,
            "poison": poison,
            "face": {
                "callsPerSecond": round(self._budget.rate, 2),
                "ceiling": self._app.settings.face_max_tps,
                "refusingForSeconds": round(self._budget.throttled_for),
                "errors": dict(self._log.face_errors.most_common()),
            },
            "refusals": dict(self._log.refusals.most_common()),
            "trouble": list(self._log.trouble),
        }

    async def readiness(self) -> dict[str, Any]:
        """Check each dependency, as `GET /api/ready` does: one call of Face."""
        found = await check_dependencies(self._app, str(uuid.uuid4()))
        return {
            "time": rfc3339(self._app.clock()),
            "dependencies": [{"name": each.name, "problem": each.problem} for each in found],
        }

    async def _owed(self) -> tuple[dict[str, Any], dict[str, str | None]]:
        """The sessions that `ops session find --owed` finds, and the last error of each session. Reads all rows."""
        from ops.session import fields_of, is_overdue, read_records, trouble_of

        now, store = self._app.clock(), self._app.store
        # Both stores can be searched; the app has no use for that.
        searchable: SearchableStore = store  # type: ignore[assignment]
        found, refused, faults = await read_records(searchable, None, {}, 0, now + 1)
        owed = sorted(
            (one for one in found if is_overdue(one[1], now)), key=lambda one: one[1].token_expires_at
        )
        sessions = [
            fields_of(record, entity.expires_at, verified=False)
            | {
                "trouble": trouble_of(record, now),
                "commands": self._commands(f"session show {entity.key}", f"session collect {entity.key}"),
            }
            for entity, record in owed[:_MOST_SHOWN]
        ]
        last_errors = {record.session_id: record.last_error for _, record in found}
        return {
            "count": len(owed),
            "sessions": sessions,
            "all": self._commands("session find --owed"),
            "unread": faults[0] if refused else None,
        }, last_errors

    async def _poison(self, count: int, last_errors: Mapping[str, str | None]) -> dict[str, Any]:
        """The oldest of `count` poison messages. Why one failed is in the record of its session."""
        from ops.poison import fields_of

        messages = []
        for message in (await self._source.poison_messages())[:_MOST_SHOWN]:
            content, name = message.content, message.message_id
            mend = f"poison replay {name}" if content else f"poison drop {name}"
            why = {} if content is None else {"why": last_errors.get(content.session_id)}
            commands = self._commands(f"poison show {name}", mend)
            messages.append(fields_of(message) | why | {"commands": commands})
        return {
            "count": max(count, len(messages)),
            "deliveries": self._deliveries,
            "messages": messages,
            "all": self._commands("poison list --all"),
        }

    def _commands(self, *words: str) -> list[str]:
        return [f"{self._shell.ops} {each}" for each in words] if self._shell else []
