"""Writes the rows of this release for later ones: `python -m tests.shared.rows.write`.

They never change after the release. Each row is made by the broker itself, at a time that stands still.
"""

import asyncio
import json
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from collect_result.delays import DEADLINE
from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.face.model import SessionResult
from shared.idempotency import Answer, RequestKey
from shared.storage.port import Entity, Table
from shared.throttle.subjects import rows_of
from tests.collect_result.workshop import MASKED, REAL, SPOOF, STARTED, Workshop
from tests.support.app import pseudonyms_of

FOLDER: Final = Path(__file__).parent
VERSION: Final = tomllib.loads((FOLDER.parents[2] / "pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
KEY: Final = RequestKey("somebody", "an-idempotency-key", "a-request")

Row = dict[str, Any]


async def rows_of_this_release() -> dict[str, list[Row]]:
    """Return the rows of sessions, limits and idempotency keys, and the messages, each with what it has to say."""
    workshop = Workshop(REQUIRE_DIGEST="true", THROTTLE_REFERENCE="50/d", THROTTLE_PRINCIPAL="50/d")
    sessions, messages = [], []
    for number, (state, made) in enumerate(_STATES.items()):
        sessions.append(await _session(workshop, state, await made(workshop, number)))
        messages += [{"text": message.text} for message in workshop.messages]
    await workshop.app.idempotency.once(KEY, _answer(workshop), _undo)
    return {
        "sessions": sessions,
        "throttle": [_row(entity) async for entity in workshop.store.inner.expired(Table.THROTTLE, 2**53)],
        "idempotency": [
            _row(entity) async for entity in workshop.store.inner.expired(Table.IDEMPOTENCY, 2**53)
        ],
        "messages": messages,
    }


def columns_of(rows: dict[str, list[Row]]) -> dict[str, list[list[str]]]:
    """The names of the columns of each row, which is what a release must not change by accident."""
    return {table: [sorted(row.get("values", row)) for row in found] for table, found in rows.items()}


async def _session(workshop: Workshop, state: str, session_id: str) -> Row:
    record = (await workshop.app.sessions.reload(session_id)).record
    [entity] = [
        one async for one in workshop.store.inner.expired(Table.SESSIONS, 2**53) if one.key == session_id
    ]
    event = event_of(record) if record.final else None
    return _row(entity) | {
        "state": state,
        "passed": record.passed,
        "owesEvent": record.owes_event,
        "event": event,
    }


def _row(entity: Entity) -> Row:
    return {"key": entity.key, "expires_at": entity.expires_at, "values": dict(entity.values)}


async def _made(
    workshop: Workshop,
    number: int,
    result: SessionResult | None = None,
    digest: str | None = None,
    *,
    revoked: bool = False,
    seconds: int = 0,
    topic_fails: bool = False,
) -> str:
    """Create a session and collect it; `seconds` pass in between."""
    session_id = await workshop.created(result, device=f"phone-{number}")
    if digest:
        await workshop.change(session_id, lambda record: record.with_digest(digest))
    if revoked:
        await workshop.change(session_id, lambda record: record.as_revoked(workshop.clock()))
    if topic_fails:
        workshop.publisher.fail("publish", EventsUnavailable("Event Grid answered 503"))
    workshop.clock.advance_seconds(seconds)
    await workshop.collect(session_id)
    return session_id


async def _created(workshop: Workshop, number: int) -> str:
    return await workshop.created(device=f"phone-{number}")


async def _created_with_a_key(workshop: Workshop, number: int) -> str:
    session_id = await workshop.created(device=f"phone-{number}")
    other = pseudonyms_of("another-pepper")
    rows = rows_of(
        await other.of("device", "somebody", f"phone-{number}"), await other.of("principal", "somebody")
    )
    await workshop.change(
        session_id,
        lambda record: replace(record, limit_rows=(*record.limit_rows, *rows), answer_row="0" * 64),
    )
    return session_id


_STATES: Final[Mapping[str, Callable[[Workshop, int], Awaitable[str]]]] = {
    "created": _created,
    "started": partial(_made, result=STARTED),
    "passed": partial(_made, result=REAL, digest="A" * 64),
    "passed, and its event cannot be published": partial(
        _made, result=REAL, digest="A" * 64, topic_fails=True
    ),
    "passed, and waits for the phone's digest": partial(_made, result=REAL),
    "passed at Face, and the phone sent another digest": partial(_made, result=REAL, digest="another"),
    "spoofed": partial(_made, result=SPOOF),
    "failed": partial(_made, result=MASKED),
    "revoked": partial(_made, revoked=True),
    "expired": partial(_made, seconds=DEADLINE),
    "created with an idempotency key while the pepper is rotated": _created_with_a_key,
}


def _answer(workshop: Workshop) -> Any:  # noqa: ANN401
    async def work(_again: bool, _row: str) -> Answer:
        return Answer({"session_id": "a-session"}, workshop.clock() + 600_000)

    return work


async def _undo(_: Answer) -> None:
    raise AssertionError("the answer was stored")


if __name__ == "__main__":
    (FOLDER / VERSION).mkdir(exist_ok=True)
    for name, found in asyncio.run(rows_of_this_release()).items():
        (FOLDER / VERSION / f"{name}.json").write_text(
            json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8"
        )
