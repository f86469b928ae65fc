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


def test_every_query_parses_and_binds() -> None:
    """Microsoft's own parser knows each table, column, function and type that a query uses."""
    assert {"alerts/no-events", "workbook/sessions", "operations.md 0"} <= set(QUERIES)
    mistake = {"a mistake": 'AppRequests | where ResultCod > "5"'}

    found = {name: faults for name, faults in faults_of(QUERIES | mistake).items() if faults}

    assert found.keys() == {"a mistake"}, found


@pytest.mark.parametrize("name", [name for name, query in QUERIES.items() if _fields(query)])
def test_every_field_is_logged_with_the_events_of_the_query(name: str) -> None:
    """A field that was renamed, or that belongs to other events, would never be found."""
    logged = logged_fields()
    events = _events(QUERIES[name]) or set(logged)

    assert events <= set(logged_events())
    assert _fields(QUERIES[name]) <= set().union(*(logged[event] for event in events))


def test_fields_of_an_event_are_not_those_of_another() -> None:
    """Else the test above would find each field somewhere."""
    logged = logged_fields()

    assert "tokenLifetimeSeconds" in logged["session_created"] - logged["event_published"]
