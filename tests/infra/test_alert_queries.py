"""The queries of the alerts over made-up logs: what raises each alert, and what is near it and does not.

A translator of Kusto to DuckDB runs them. It refuses what it cannot translate. What `ingestion_time()` answers is the
time of the line here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import duckdb_kql
import pytest

from shared.queues.port import RESULTS_QUEUE
from tests.infra.log_tables import TABLES
from tests.infra.queries import ALERTS, everything

_QUERIES = everything()
_TYPES = {
    "datetime": "TIMESTAMP",
    "string": "VARCHAR",
    "int": "INTEGER",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "dynamic": "JSON",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, of some minutes ago."""

    table: str
    minutes_ago: float
    columns: Mapping[str, object]


def line(event: str, *, ago: float = 5, **fields: object) -> Row:
    """A line of the app's own log."""
    return Row("AppTraces", ago, {"Message": json.dumps({"event": event, **fields}), "ItemCount": 1})


def calls(status: int, number: int, *, ago: float, name: str = "create_session") -> Row:
    """A request that stands for this number of requests."""
    return Row("AppRequests", ago, {"OperationName": name, "ResultCode": str(status), "ItemCount": number})


def stored(table: str, *, ago: float = 5, **columns: object) -> Row:
    """A row of the logs of storage."""
    return Row(table, ago, {"StatusCode": "204", **columns})


def used(gigabytes: float, *, hours_ago: int = 1, billable: bool = True) -> Row:
    """What came within an hour."""
    start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours_ago)
    return Row("Usage", 5, {"StartTime": start, "IsBillable": billable, "Quantity": gigabytes * 1000})


def ended(session: str, *, ago: float, **fields: object) -> Row:
    """The result of a session was recorded."""
    return line("session_ended", ago=ago, sessionId=session, **{"attempts": 1, "failedAttempts": 0, **fields})


def published(session: str, *, ago: float, **fields: object) -> Row:
    """The event of a session was published."""
    return line("event_published", ago=ago, sessionId=session, **fields)


_CREATED = line("session_created", ago=180, sessionId="a", tokenLifetimeSeconds=600)
_QUEUE = f"https://account.queue.core.windows.net/{RESULTS_QUEUE}-poison/messages"
_OTHER = "00000000-0000-0000-0000-000000000001"
_TEN_ENDED = [ended(f"session-{number}", ago=12) for number in range(10)]

# By alert: rows that raise it, and rows that do not, each for a reason.
CASES: Mapping[str, tuple[Mapping[str, Sequence[Row]], Mapping[str, Sequence[Row]]]] = {
    "poison-queue": (
        {"moved": [stored("StorageQueueLogs", Uri=_QUEUE, OperationName="PutMessage")]},
        {
            "replayed": [stored("StorageQueueLogs", Uri=_QUEUE, OperationName="DeleteMessage")],
            "seen before": [stored("StorageQueueLogs", ago=25, Uri=_QUEUE, OperationName="PutMessage")],
        },
    ),
    "logs-capped": (
        {"capped": [Row("_LogOperation", 5, {"Category": "ingestion", "Detail": "the quota: OverQuota"})]},
        {"other": [Row("_LogOperation", 5, {"Category": "Ingestion", "Detail": "a new table"})]},
    ),
    "logs-near-cap": (
        {"half": [used(2.6)], "in three hours": [used(1.3), used(1.3, hours_ago=2)]},
        {
            "less": [used(2.4)],
            "before": [used(1.3), used(1.3, hours_ago=4)],
            "free": [used(1.3), used(1.3, billable=False)],
        },
    ),
    "app-silent": (
        {"nothing": [], "others": [line("request_ended")]},
        {"runs": [line("purge_ended", ago=55)]},
    ),
    "requests-burn-budget": (
        {
            "outage": [calls(200, 90, ago=50), calls(503, 10, ago=3)],
            "slowly": [
                calls(200, 990, ago=300),
                calls(500, 8, ago=200),
                calls(200, 99, ago=20),
                calls(500, 2, ago=20),
            ],
        },
        {
            "over": [calls(503, 10, ago=50), calls(200, 90, ago=3)],
            "few": [calls(500, 4, ago=3)],
            "probes": [calls(503, 50, ago=3, name="health")],
            "refusals": [calls(429, 50, ago=3)],
        },
    ),
    "internal-error": ({"fault": [line("internal_error")]}, {"refused": [line("request_refused")]}),
    "upstream-quota": (
        {"quota": [line("dependency_failed", code="UpstreamQuotaExceeded")]},
        {"too many": [line("dependency_failed", code="UpstreamThrottled")]},
    ),
    "face-throttled": (
        {
            "a phone loops": [line("face_called", status=429)] * 20 + [line("face_called", status=200)] * 900,
            "nothing else": [line("face_called", status=429)] * 20,
        },
        {
            "a busy hour": [line("face_called", status=429)] * 20 + [line("face_called", status=200)] * 980,
            "few": [line("face_called", status=429)] * 19,
            "other failures": [line("face_called", status=500)] * 100,
        },
    ),
    "session-cut-off": (
        {"a phone loops": [line("session_cut_off")]},
        {"a phone revokes": [line("session_revoked")]},
    ),
    "key-unavailable": (
        {
            "callers fail": [line("dependency_failed", code="KeyUnavailable")] * 3,
            "in one line": [line("dependency_failed", code="KeyUnavailable", times=3)],
        },
        {
            "twice": [line("dependency_failed", code="UpstreamUnauthorized")] * 2,
            "the old value serves": [line("secret_read_failed", secret="face-key")] * 5,
        },
    ),
    "secret-read-failed": (
        {"again and again": [line("secret_read_failed", secret="face-key")] * 3},
        {"two secrets": [line("secret_read_failed", secret=name) for name in ("face-key", "id-pepper")] * 2},
    ),
    "throttling": (
        {"more than usual": [calls(200, 1000, ago=600), calls(200, 100, ago=10), calls(429, 20, ago=10)]},
        {
            "as usual": [
                calls(200, 80, ago=600),
                calls(429, 20, ago=600),
                calls(200, 80, ago=9),
                calls(429, 20, ago=9),
            ],
            "few": [calls(429, 19, ago=10)],
        },
    ),
    "events-unavailable": (
        {"three": [line("collect_failed", error="EventsUnavailable")] * 3},
        {"others": [line("collect_failed", error="UpstreamTimeout")] * 5},
    ),
    "events-burn-budget": (
        {
            "no events": _TEN_ENDED,
            "late": [*_TEN_ENDED, *[published(f"session-{n}", ago=1) for n in range(10)]],
        },
        {
            "in time": [*_TEN_ENDED, *[published(f"session-{n}", ago=11) for n in range(10)]],
            "they wait": [ended(f"session-{number}", ago=12, awaitsDigest=True) for number in range(10)],
            "few": _TEN_ENDED[:4],
            "not yet late": [ended(f"session-{number}", ago=8) for number in range(10)],
        },
    ),
    "events-stopped": (
        {"none": [ended("a", ago=60)], "before": [published("b", ago=200), ended("a", ago=60)]},
        {
            "another's": [ended("a", ago=60), published("b", ago=10)],
            "idle": [],
            "waits": [ended("a", ago=60, awaitsDigest=True)],
            "just now": [ended("a", ago=10)],
        },
    ),
    "no-events": (
        {
            "none": [_CREATED],
            "just now": [line("session_created", ago=41, sessionId="a", tokenLifetimeSeconds=600)],
            "another's": [_CREATED, published("b", ago=100)],
            "revoked": [_CREATED, line("session_revoked", sessionId="a")],
        },
        {
            "published": [_CREATED, published("a", ago=100)],
            "has none": [_CREATED, line("session_closed_without_event", ago=100, sessionId="a")],
            "is open": [_CREATED, line("session_still_open", ago=100, sessionId="a")],
            "its token works": [line("session_created", ago=180, sessionId="a", tokenLifetimeSeconds=86400)],
            "its token has just ended": [
                line("session_created", ago=39, sessionId="a", tokenLifetimeSeconds=600)
            ],
        },
    ),
    "event-lost": ({"lost": [line("session_purged_without_event")]}, {"purged": [line("purge_ended")]}),
    "record-mac-mismatch": (
        {"changed": [line("record_mac_mismatch")]},
        {"seen before": [line("record_mac_mismatch", ago=25)]},
    ),
    "table-written-by-others": (
        {
            "other": [stored("StorageTableLogs", RequesterObjectId=_OTHER)],
            "key": [stored("StorageTableLogs")],
        },
        {
            "the app": [stored("StorageTableLogs", RequesterObjectId="00000000-0000-0000-0000-000000000009")],
            "refused": [stored("StorageTableLogs", RequesterObjectId=_OTHER, StatusCode="403")],
        },
    ),
    "spoof-rate": (
        {"attack": [ended(f"session-{n}", ago=9, failedAttempts=1) for n in range(10)]},
        {
            "few": [ended(f"session-{n}", ago=9, failedAttempts=1) for n in range(9)],
            "as usual": [
                ended(f"session-{n}", ago=9 + 600 * (n % 2), failedAttempts=n % 4 // 2) for n in range(80)
            ],
        },
    ),
    "digest-mismatch": (
        {"three": [published(session, ago=9, digestMatches=False) for session in "abc"]},
        {
            "one session": [published("a", ago=9, digestMatches=False)] * 3,
            "none came": [published(session, ago=9) for session in "abc"],
        },
    ),
    "misses": (
        {
            "many": [line("request_refused", code="SessionNotFound")] * 60
            + [line("request_refused", code="Unauthorized")] * 20
            + [line("request_refused", code="Forbidden")] * 20,
            "in one line": [line("request_refused", code="SessionNotFound", times=100)],
        },
        {
            "few": [line("request_refused", code="SessionNotFound")] * 99,
            "other refusals": [line("request_refused", code="InvalidRequestBody")] * 100,
        },
    ),
    "client-address-unvouched": (
        {
            "many": [line("client_address_unvouched")] * 20,
            "in one line": [line("client_address_unvouched", times=20)],
        },
        {"few": [line("client_address_unvouched")] * 19},
    ),
}


@pytest.mark.parametrize("raises", [True, False], ids=["raised", "quiet"])
@pytest.mark.parametrize("name", ALERTS)
def test_alert_is_raised_by_its_cause_alone(name: str, raises: bool) -> None:
    """What an operator must hear of; and what is near it, and no reason to wake anybody."""
    raising, quiet = CASES[name]
    query = _QUERIES[f"alerts/{name}"]

    for case, rows in (raising if raises else quiet).items():
        assert bool(answer(query, rows)) is raises, case


def answer(query: str, rows: Sequence[Row]) -> list[Any]:
    """The rows that a query answers."""
    connection = duckdb_kql.connect()
    now = datetime.now(UTC).replace(tzinfo=None)
    for name in [name for name in TABLES if name in query]:
        columns = [column.split(": ") for column in TABLES[name].strip("()").split(", ")]
        types = ", ".join(f"{column} {_TYPES[kind]}" for column, kind in columns)
        connection.execute(f'CREATE TABLE "{name}" ({types})')
    for row, same in groupby(row for row in rows if row.table in query):
        values = {"TimeGenerated": now - timedelta(minutes=row.minutes_ago), **row.columns}
        names, marks, times = ", ".join(values), ", ".join("?" * len(values)), len(list(same))
        connection.execute(
            f'INSERT INTO "{row.table}" ({names}) SELECT {marks} FROM range({times})',  # noqa: S608 - our own names.
            list(values.values()),
        )
    text = re.sub(r"^//.*\n", "", query, flags=re.MULTILINE).replace("ingestion_time()", "TimeGenerated")
    return list(duckdb_kql.kql(connection, text).fetchall())
