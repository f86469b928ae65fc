"""Each Kusto query is valid, and reads only what exists: tables and columns of Azure, events and fields of our log."""

import re

import pytest

from tests.infra.kusto import faults_of
from tests.infra.queries import everything
from tests.ops.logged_events import logged_events, logged_fields

QUERIES = everything()
_EVENT = re.compile(r'(?:Event\.event\)|\bName) (?:==|in) (\([^)]+\)|"[^"]+")')


def _events(query: str) -> set[str]:
    return set(re.findall(r'"([^"]+)"', " ".join(_EVENT.findall(query))))


def _fields(query: str) -> set[str]:
    return set(re.findall(r"\bEvent\.(\w+)", query)) - {"event"}


# A query, what is misspelt in it, and the fault.
MISTAKES = [
    ("alerts/requests-burn-budget", "ResultCode", "ResultCod", "'ResultCod' does not refer to any known"),
    ("alerts/no-events", "AppTraces", "AppTrace", "'AppTrace' does not refer to any known table"),
    ("alerts/throttling", "toscalar(", "toscaler(", "'toscaler' does not refer to any known function"),
    ("alerts/poison-queue", "| where", "| were", "Query operator expected"),
    ("workbook/latency", 'startswith "5"', "> 5", "is not defined for the operand types string and long"),
]


def test_every_query_parses_and_binds() -> None:
    """Microsoft's own parser knows each table, column, function and type that a query uses, and finds mistakes."""
    assert {"alerts/no-events", "workbook/sessions", "operations.md 0"} <= set(QUERIES)
    mistaken = {f"mistaken {name}": QUERIES[name].replace(old, new) for name, old, new, _ in MISTAKES}

    found = faults_of(QUERIES | mistaken)

    for name, _, _, fault in MISTAKES:
        assert any(fault in line for line in found.pop(f"mistaken {name}")), name
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if _fields(query)])
def test_every_field_is_logged_with_the_events_of_the_query(name: str) -> None:
    """A field that was renamed, or that belongs to other events, would never be found."""
    logged = logged_fields()
    events = _events(QUERIES[name]) or set(logged)

    assert events <= set(logged_events())
    assert _fields(QUERIES[name]) <= set().union(*(logged[event] for event in events))


def test_fields_of_each_way_to_log_are_known() -> None:
    """Fields stand in the call, in a method that adds its own, or in a variable."""
    logged = logged_fields()

    assert {"sessionId", "tokenLifetimeSeconds"} <= logged["session_created"]
    assert {"sessionId", "reason", "milliseconds"} <= logged["event_published"]
    assert {"secret", "serving_stale"} <= logged["secret_read_failed"]
    assert "tokenLifetimeSeconds" not in logged["event_published"]
