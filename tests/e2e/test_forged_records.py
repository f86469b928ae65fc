"""Somebody who can write to the table of sessions cannot make a check pass."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from collect_result.use_case import MAX_FAILURES, collect_result
from ops.events import Republication
from ops.output import CommandFailed, Output
from shared.errors import MessageGivenUp
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import token_hash
from shared.storage.port import MemoryStore, Table, Value
from tests.support.app import PSEUDONYMS
from tests.support.broker import FUNCTION_KEY, Broker, running_broker

Row = Mapping[str, Value]
PASSED = {"decision": "realface", "status": "ResultAvailable"}
MALLORY = "a-token-of-the-attacker"


def without_mac(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "mac"}


async def answers(broker: Broker, session: Mapping[str, Any], token: str) -> list[tuple[int, str | None]]:
    """Poll, audit and revoke; returns each status and error code."""
    url = f"/api/sessions/{session['sessionId']}"
    headers = {"X-Session-Token": token, "x-functions-key": FUNCTION_KEY}
    calls = [("GET", url), ("GET", f"{url}/audit"), ("DELETE", url)]
    found = [await broker.http.request(method, path, headers=headers) for method, path in calls]
    return [(answer.status_code, answer.headers.get("x-ms-error-code")) for answer in found]


@pytest.mark.parametrize("published", [False, True], ids=["owes its event", "published"])
@pytest.mark.parametrize(
    ("forge", "token"),
    [
        (lambda spoofed, _: spoofed | PASSED, None),
        (lambda spoofed, _: without_mac(spoofed | PASSED), None),
        (lambda _, passed: passed, None),
        (lambda spoofed, passed: spoofed | PASSED | {"mac": passed["mac"]}, None),
        (lambda spoofed, _: spoofed | {"token_hash": token_hash(MALLORY)}, MALLORY),
    ],
    ids=["another decision", "no MAC", "row of another session", "another MAC", "stolen"],
)
async def test_forged_record_is_neither_answered_nor_published(
    forge: Callable[[Row, Row], Row],
    token: str | None,
    published: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Poll, audit and revocation answer 503; the message stays for the operator; `ops events republish` refuses."""
    store = MemoryStore()
    async with running_broker(store=store) as broker:
        spoofed, other = await broker.created("sim-spoofface"), await broker.created()
        for session in (spoofed, other):
            await broker.perform(session)
            assert (await broker.result(session)).json()["passed"] == (session is other)
        session_id = spoofed["sessionId"]
        if published:
            await collect_result(broker.app, CollectMessage(session_id, Reason.POLL))
        broker.events.clear()
        row, passed = [await store.get(Table.SESSIONS, one["sessionId"]) for one in (spoofed, other)]
        assert row
        assert passed
        forged = await store.replace(
            Table.SESSIONS, replace(row, values=forge(dict(row.values), dict(passed.values)))
        )

        refused = await answers(broker, spoofed, token or spoofed["authToken"])
        with pytest.raises(MessageGivenUp):
            await collect_result(
                broker.app, CollectMessage(session_id, Reason.POLL, attempt=MAX_FAILURES - 1)
            )
        republication = Republication(store, PSEUDONYMS, broker.app.publisher, broker.clock, Output(False))
        with pytest.raises(CommandFailed):
            await republication.of_session(session_id)
        with pytest.raises(CommandFailed):
            await republication.of_range(0, 2**45)

        assert refused == [(503, "StorageUnavailable")] * 3
        assert [event["subject"] for event in broker.events] == [other["sessionId"]]
        assert await store.get(Table.SESSIONS, session_id) == forged
        lines = [line for line in caplog.messages if "record_mac_mismatch" in line]
        assert len(lines) == 6
        assert all(session_id in line for line in lines)
