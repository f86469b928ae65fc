"""`modules/alerts.bicep` and `alerts/`: the queries look for names that the code writes."""

import ast
import json
import re

import pytest

from shared import errors
from shared.errors import EventsUnavailable
from shared.queues.port import RESULTS_QUEUE
from tests.architecture.source_tree import FUNCTION_PACKAGES, deployed_modules
from tests.contract.expected_functions import FUNCTIONS
from tests.infra.bicep_compiler import INFRA, ROOT
from tests.infra.rules import LOG_ALERTS
from tests.ops.logged_events import logged_events

QUERIES = {path.stem: path.read_text("utf-8") for path in sorted((INFRA / "alerts").glob("*.kql"))}
EVERYTHING = " ".join(QUERIES.values())


def _texts_after(pattern: str, query: str) -> set[str]:
    """The quoted texts, or the list of them, after an operator of a query."""
    lists = re.findall(pattern + r' (\([^)]+\)|"[^"]+")', query)
    return set(re.findall(r'"([^"]+)"', " ".join(lists)))


def _logged_fields() -> set[str]:
    calls = (node for tree in deployed_modules().values() for node in ast.walk(tree))
    return {
        keyword.arg or ""
        for node in calls
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "log_event"
        for keyword in node.keywords
    }


# What a query names: how it is found, what exists, and one that must be found.
NAMES: dict[str, tuple[str, set[str], str]] = {
    "event": (
        r"(?:Event\.event\)|\bName) (?:==|in)",
        set(logged_events()),
        "secret_read_failed",
    ),
    "code": (
        r"(?:Code in|Event\.code\) ==)",
        {str(getattr(kind, "code", None)) for kind in vars(errors).values()},
        "KeyUnavailable",
    ),
    "error": (r"Event\.error\) ==", {EventsUnavailable.__name__}, "EventsUnavailable"),
    "function": (r"OperationName (?:==|in)", set(FUNCTION_PACKAGES), "create_session"),
}


def test_each_alert_has_a_query() -> None:
    """The files in `alerts/` and the rules for alerts have the same names."""
    assert set(QUERIES) == set(LOG_ALERTS)


@pytest.mark.parametrize("kind", NAMES)
def test_names_in_queries_exist(kind: str) -> None:
    """A query would never find an event, a code, an error or a function that has been renamed."""
    pattern, existing, example = NAMES[kind]
    # Only requests have names of functions there; other tables have operations of Azure.
    query = " ".join(query for query in QUERIES.values() if kind != "function" or "AppRequests" in query)

    assert example in _texts_after(pattern, query) <= existing


def test_fields_in_queries_exist() -> None:
    """A query would never find a field that has been renamed."""
    fields = set(re.findall(r"\bEvent\.(\w+)", EVERYTHING)) - {"event"}

    assert {"code", "sessionId"} <= fields <= _logged_fields()


def test_probes_do_not_hide_server_errors() -> None:
    """The alert counts the functions for sessions, and not those that probes call. The host logs no calls of these."""
    of_sessions = {one.name for one in FUNCTIONS if one.trigger.get("route", "").startswith("sessions")}
    levels = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["logLevel"]
    unusual = {name: level for name, level in levels.items() if level != "Information"}

    assert set(re.findall(r'"([a-z]+_[a-z]+)"', QUERIES["server-errors"])) == of_sessions
    assert unusual == {"Function.health": "Warning"}
    assert "health" in {function.name for function in FUNCTIONS}


def test_each_poison_message_raises_one_alert() -> None:
    """The query watches the queue where the host moves failed messages, and sees those since its last run."""
    _, every, _ = LOG_ALERTS["poison-queue"]
    [minutes] = re.findall(r"ingestion_time\(\) > ago\((\d+)m\)", QUERIES["poison-queue"])

    assert f'"/{RESULTS_QUEUE}-poison/"' in QUERIES["poison-queue"]
    assert every == f"PT{minutes}M"
