"""The throttle rows as this instance knows them, and how decisions over them get into the store."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.clock import Clock, Sleep
from shared.errors import EntityChanged
from shared.recent import Recent
from shared.storage.port import EntityStore, Table
from shared.throttle.coalescing import Call
from shared.throttle.decision import Answer
from shared.throttle.rows import Row

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5

_KNOWN_MS: Final = 2_000
"""For how long a row may be written without being read again: a write that is lost costs more than a read."""


@dataclass(slots=True)
class _Plan:
    """What to do with a batch: an answer for each call, the rows as they would be, and those it rests on."""

    answers: list[tuple[Call[Any], Answer[Any]]] = field(default_factory=list)
    changed: dict[str, Row] = field(default_factory=dict)
    rests_on: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Known:
    """A row as it was at a time, in unix milliseconds."""

    row: Row
    at: int


class Ledger:
    """Decides requests over rows that it remembers with their etags, and writes them where those still hold.

    No outcome rests on a row that may be out of date: each is either written under its etag together with
    all others of the batch, or was read after the batch began. Nor is a row written that was not read or written
    in the last two seconds. `known` is how much is remembered: rows, and entries in their logs.
    """

    def __init__(
        self,
        store: EntityStore,
        clock: Clock,
        *,
        random: Callable[[], float],
        sleep: Sleep,
        known: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._known: Recent[str, _Known] = Recent(known, weigh=_weight)

    async def settle(self, calls: Sequence[Call[Any]]) -> None:
        """Give each call its outcome, unless its caller has gone.

        While other instances are faster, it is tried again, until all callers have gone. Raises
        `StorageUnavailable` where the store fails. The charges may have been stored all the same where it was a
        write that failed.
        """
        fresh: dict[str, Row] = {}
        lost = 0
        while not await self._attempt(calls, fresh):
            await self._pause(lost)
            lost += 1

    async def _pause(self, lost: int) -> None:
        await self._sleep(self._random() * min(_FIRST_PAUSE * 2 ** min(lost, 10), _LONGEST_PAUSE))

    async def _attempt(self, calls: Sequence[Call[Any]], fresh: dict[str, Row]) -> bool:
        plan = await self._plan(calls, fresh)
        if plan.changed and not await self._write(plan.changed, fresh):
            return False
        for call, answer in plan.answers:
            call.outcome = answer.outcome
        return True

    async def _plan(self, calls: Sequence[Call[Any]], fresh: dict[str, Row]) -> _Plan:
        keys = {key: None for call in calls if not call.abandoned for key in call.request.keys}
        known = {key: row for key in keys if (row := self._known.get(key))}
        recent = {key for key, row in known.items() if 0 <= self._clock() - row.at < _KNOWN_MS}
        # Rows that nobody has read are taken for empty ones, to see whether anything rests on them at all.
        rows = {key: fresh.get(key) or (known[key].row if key in known else Row(key, {})) for key in keys}
        while True:
            plan = _decide(calls, dict(rows), self._clock())
            written = recent & plan.changed.keys()
            unread = [key for key in keys if key in plan.rests_on and key not in fresh and key not in written]
            if not unread:
                return plan
            rows |= await self._read(unread, fresh)

    async def _read(self, keys: Sequence[str], fresh: dict[str, Row]) -> dict[str, Row]:
        read = dict(zip(keys, await self._fetch(keys), strict=True))
        self._remember(read.values())
        fresh |= read
        return read

    async def _fetch(self, keys: Sequence[str]) -> list[Row]:
        if len(keys) == 1:
            return [await self._get(keys[0])]
        found = await asyncio.gather(*map(self._get, keys), return_exceptions=True)
        return [_row_or_raise(row) for row in found]

    async def _get(self, key: str) -> Row:
        entity = await self._store.get(Table.THROTTLE, key)
        return Row.of(entity) if entity else Row(key, {})

    async def _write(self, changed: dict[str, Row], fresh: dict[str, Row]) -> bool:
        # Whatever comes of the write: what is known of these rows does not hold any more.
        for key in changed:
            self._known.forget(key)
            fresh.pop(key, None)
        try:
            stored = await self._store.write_together(
                Table.THROTTLE, [row.entity() for row in changed.values()]
            )
        except EntityChanged:
            return False
        self._remember(changed[entity.key].stored_as(entity.etag) for entity in stored)
        return True

    def _remember(self, rows: Iterable[Row]) -> None:
        now = self._clock()
        for row in rows:
            if row.etag:
                self._known.put(row.key, _Known(row, now))
            else:
                self._known.forget(row.key)


def _weight(known: _Known) -> int:
    return 1 + sum(map(len, known.row.logs.values()))


def _decide(calls: Sequence[Call[Any]], rows: dict[str, Row], now: int) -> _Plan:
    plan = _Plan()
    for call in sorted(calls, key=lambda call: not call.request.makes_room):
        if call.abandoned:
            continue
        answer = call.request.decide(rows, now)
        plan.answers.append((call, answer))
        plan.rests_on.update(answer.rests_on)
        for row in answer.changed:
            rows[row.key] = plan.changed[row.key] = row
    return plan


def _row_or_raise(row: Row | BaseException) -> Row:
    if isinstance(row, BaseException):
        raise row
    return row
