"""What an operator wants to see of the broker that runs here: for the console page alone, and never in Azure."""

import json
import logging
import uuid
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Self

from health.use_case import check_dependencies
from local.queues import MessageSource
from shared.app import App
from shared.errors import StorageUnavailable
from shared.face.budget import Budget
from shared.sessions.record import SessionRecord
from shared.storage.port import SearchableStore, Table
from shared.text import LATEST, Clock, rfc3339
from shared.throttle.rows import Row
from shared.throttle.subjects import devices_in

if TYPE_CHECKING:
    from ops.poison_queue import PoisonMessage

_MOST_SHOWN: Final = 10
_MOST_TROUBLE: Final = 20
_READINESS_KNOWN_MS: Final = 60_000
"""How long an answer about readiness is shown. The page asks every 15 s."""
_REFUSAL_LOG: Final = "shared.web.endpoint"
_REFUSED: Final = "request_refused"
_FACE_CALLED: Final = "face_called"
_ROWS: Final = {
    "managed identity endpoint": "the managed identity",
    "Face does not know the session": "the settings name another Face resource than the one with the sessions",
    "UpstreamUnauthorized": "the Face key",
    "UpstreamNotApproved": "the approval of the Face resource",
    "Upstream": "Face",
    "signIn ": "an issuer of tokens (`AUTH_ISSUER`)",
    "KeyUnavailable": "Key Vault",
    "queue ": "Queue Storage",
    "StorageUnavailable": "Table Storage",
    "EventsUnavailable": "Event Grid",
}
"""The row of "When something is down" in docs/operations.md by a part of the dependency and its problem. The first
that fits counts."""


class RecentLog(logging.Handler):
    """Counts in the log what was refused, and keeps its newest warnings and errors, until the block ends.

    All lines of one request are one item of `trouble`: the newest line, and the text of the `earlier` ones.

    `refusals` are the refused requests by their code, `face_errors` the failed calls of Face by their error.
    Lines with `own_request` as their request id are left out: the view asks the dependencies again and again.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self.refusals: Counter[str] = Counter()
        self.face_errors: Counter[str] = Counter()
        self.trouble: deque[Mapping[str, Any]] = deque(maxlen=_MOST_TROUBLE)
        self.own_request = str(uuid.uuid4())
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
        if fields.get("requestId") == self.own_request:
            return
        if fields.get("event") == _FACE_CALLED:
            self.face_errors[fields["error"]] += 1
        request = fields.get("requestId")
        same = next(
            (one for one in self.trouble if request and one["fields"].get("requestId") == request), None
        )
        if same:
            self.trouble.remove(same)
        self.trouble.append(
            {
                "time": rfc3339(self._clock()),
                "level": record.levelname,
                "text": text,
                "fields": fields,
                "earlier": [*same["earlier"], same["text"]] if same else [],
            }
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


def where_to_look(problem: str, dependency: str = "") -> str | None:
    """Name the row of docs/operations.md about a problem, an error code with its detail; None for one without a row."""
    for part, row in _ROWS.items():
        if part in f"{dependency} {problem}":
            return f'"{row}" under "When something is down" in docs/operations.md'
    return None


def _fix(error: str | None) -> str:
    where = error and where_to_look(error)
    return f"Fix the cause (see {where})" if where else "Fix the cause"


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
        self._checked_at = 0
        self._readiness: dict[str, Any] | None = None

    async def status(self) -> dict[str, Any]:
        """Return all that can be seen without a call of Face.

        Where storage does not answer, `queue`, `owed`, `poison` or `devices` is null, and `problem` says why.
        `readiness` is the last answer about it, and null where that is older than a minute.
        """
        # Imported late: nobody may look, and a run should start fast.
        from ops.output import CommandFailed

        problem = queue = owed = poison = devices = None
        try:
            waiting, poisoned = await self._source.depths()
            oldest = await self._source.oldest_due()
            queue = {"messages": waiting, "oldestDue": None if oldest is None else rfc3339(oldest)}
            messages = await self._source.poison_messages()
            owed, last_errors = await self._owed(messages)
            poison = self._poison(poisoned, messages, last_errors)
            devices = await self._refused_devices()
        except StorageUnavailable as fault:
            problem = fault.detail
        except CommandFailed as fault:
            problem = str(fault)
        if self._app.clock() - self._checked_at > _READINESS_KNOWN_MS:
            self._readiness = None
        return {
            "summary": _summary(self._readiness, problem, owed, poison, devices),
            "problem": problem,
            "settings": self._shell and self._shell.settings,
            "readiness": self._readiness,
            "queue": queue,
            "owed": owed,
            "poison": poison,
            "devices": devices,
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
        found = await check_dependencies(self._app, self._log.own_request)
        self._checked_at = self._app.clock()
        self._readiness = {
            "time": rfc3339(self._checked_at),
            "dependencies": [
                {
                    "name": each.name,
                    "problem": each.problem,
                    "help": each.problem and where_to_look(each.problem, each.name),
                }
                for each in found
            ],
        }
        return self._readiness

    async def _owed(
        self, messages: Sequence["PoisonMessage"]
    ) -> tuple[dict[str, Any], dict[str, str | None]]:
        """The sessions that `ops session find --owed` finds, and the last error of each session. Reads all rows."""
        from ops.session import fields_of, is_overdue, read_records

        now, store = self._app.clock(), self._app.store
        # Both stores can be searched; the app has no use for that.
        searchable: SearchableStore = store  # type: ignore[assignment]
        found, refused, faults = await read_records(searchable, None, {}, 0, now + 1)
        owed = sorted(
            (one for one in found if is_overdue(one[1], now)), key=lambda one: one[1].token_expires_at
        )
        poisoned = {one.content.session_id: one.message_id for one in messages if one.content}
        sessions = [
            fields_of(record, entity.expires_at, verified=False)
            | self._advice(record, poisoned.get(record.session_id), now)
            for entity, record in owed[:_MOST_SHOWN]
        ]
        last_errors = {record.session_id: record.last_error for _, record in found}
        return {
            "count": len(owed),
            "sessions": sessions,
            "all": self._commands("session find --owed"),
            "unread": faults[0] if refused else None,
        }, last_errors

    def _advice(self, record: SessionRecord, poison_id: str | None, now: int) -> dict[str, Any]:
        """What is wrong with a session that owes its event, and what docs/operations.md says to do."""
        from ops.session import trouble_of

        trouble, mend = trouble_of(record, now), []
        if poison_id:
            advice = f"Its message is poison. {_fix(record.last_error)}, then replay the message."
            mend = [f"poison replay {poison_id}"]
        elif trouble:
            then = f"{_fix(record.last_error)}, then send" if record.last_error else "Send"
            advice = f"Its message seems to be lost. {then} a new one."
            mend = [f"session collect {record.session_id}"]
        else:
            advice = "Nothing: the broker looks again by itself."
        commands = self._commands(f"session show {record.session_id}", *mend)
        return {"trouble": trouble, "advice": advice, "commands": commands}

    def _poison(
        self, count: int, found: Sequence["PoisonMessage"], last_errors: Mapping[str, str | None]
    ) -> dict[str, Any]:
        """The oldest of `count` poison messages. Why one failed is in the record of its session."""
        from ops.poison import fields_of

        messages = []
        for message in found[:_MOST_SHOWN]:
            content, name = message.content, message.message_id
            if content:
                error = last_errors.get(content.session_id)
                mend, advice = f"poison replay {name}", f"{_fix(error)}, then replay it."
                why = {"why": error}
            else:
                mend, advice, why = f"poison drop {name}", "Drop it: it would fail again.", {}
            commands = self._commands(f"poison show {name}", mend)
            messages.append(fields_of(message) | why | {"advice": advice, "commands": commands})
        return {
            "count": max(count, len(messages)),
            "deliveries": self._deliveries,
            "messages": messages,
            "all": self._commands("poison list --all"),
        }

    async def _refused_devices(self) -> dict[str, Any]:
        """The devices that a limit refuses now, the one that waits longest first. Reads all rows.

        Limits that `THROTTLE_OVERRIDES` sets for one caller are not known here.
        """
        refused, faults = [], []
        if self._app.settings.throttle_mode == "enforce":
            async for entity in self._app.store.expired(Table.THROTTLE, LATEST):
                for device in devices_in([entity.key]):
                    try:
                        logs = Row.of(entity).logs
                    except StorageUnavailable as fault:
                        faults.append(f"{entity.key}: {fault.detail}")
                        continue
                    limits = self._app.subjects.of_row(entity.key).limits
                    opens = [(limit.policy.opens_at(logs.get(limit.log, ())), limit) for limit in limits]
                    refused.append((*max(opens, key=itemgetter(0)), device))
        now = self._app.clock()
        refused = sorted((one for one in refused if one[0] > now), key=itemgetter(0), reverse=True)
        devices = [
            {
                "device": device,
                "limit": f"{limit.name} {limit.policy}",
                "until": rfc3339(until),
                "commands": self._commands(f"device show {device}", f"device reset {device}"),
            }
            for until, limit, device in refused[:_MOST_SHOWN]
        ]
        return {"count": len(refused), "devices": devices, "unread": faults[0] if faults else None}

    def _commands(self, *words: str) -> list[str]:
        return [f"{self._shell.ops} {each}" for each in words] if self._shell else []


def _summary(
    readiness: Mapping[str, Any] | None,
    problem: str | None,
    owed: Mapping[str, Any] | None,
    poison: Mapping[str, Any] | None,
    devices: Mapping[str, Any] | None,
) -> dict[str, str]:
    """What is wrong, the worst first, and its `kind`: `bad`, `warn`, `good`, or `waiting` without an answer yet."""
    from ops.output import counted

    failing = [one["name"] for one in readiness["dependencies"] if one["problem"]] if readiness else []
    bad, warn = list[str](), list[str]()
    if failing:
        bad.append(f"Not ready: {', '.join(failing)} {'fails' if len(failing) == 1 else 'fail'}.")
    if problem:
        bad.append(f"Storage does not answer: {problem}.")
    if owed and (count := owed["count"]):
        warn.append(f"{counted(count, 'session')} {'owes its' if count == 1 else 'owe their'} event.")
    if poison and (count := poison["count"]):
        warn.append(f"{counted(count, 'message')} {'is' if count == 1 else 'are'} poison.")
    if owed and owed["unread"]:
        warn.append("Not all records can be read.")
    if devices and devices["unread"]:
        warn.append("Not all limits can be read.")
    said = bad + warn
    kind = "bad" if bad else "warn" if warn else "good" if readiness else "waiting"
    if not said:
        ready = "Ready." if readiness else "Readiness is not known."
        said = [f"{ready} No session owes its event, and no message is poison."]
    if devices and (count := devices["count"]):
        # A limit does its work: nothing is wrong.
        said.append(f"{counted(count, 'device')} {'is' if count == 1 else 'are'} refused now.")
    return {"text": " ".join(said), "kind": kind}
