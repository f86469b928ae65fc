"""`modules/alerts.bicep` and `alerts/`: the queries look for names that the code writes."""

import ast
import json
import re
from collections.abc import Iterator

import pytest

from shared import errors
from shared.errors import EventsUnavailable
from shared.queues.port import RESULTS_QUEUE
from tests.architecture.source_tree import FUNCTION_PACKAGES
from tests.contract.expected_functions import FUNCTIONS
from tests.infra.bicep_compiler import INFRA, ROOT
from tests.infra.rules import ALERTS, LOG_ALERTS
from tests.ops.logged_events import logged_events

QUERIES = {path.stem: path.read_text("utf-8") for path in sorted((INFRA / "alerts").glob("*.kql"))}


def test_each_alert_has_a_query() -> None:
    """The files in `alerts/` and the rules for alerts have the same names."""
    assert set(QUERIES) == set(ALERTS)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_names_in_a_query_exist(query: str) -> None:
    """A query would never find an event, a field, a code or a function that has been renamed."""
    events = _texts_after(r"(?:Event\.event\)|\bName) (?:==|in)", query)
    fields = set(re.findall(r"\bEvent\.(\w+)", query)) - {"event"}
    codes = _texts_after(r"(?:Code in|Event\.code\) ==)", query)
    functions = _texts_after(r"OperationName (?:==|in)", query) if "AppRequests" in query else set()

    assert events <= set(logged_events())
    assert fields <= set(_logged_fields())
    assert codes <= {getattr(kind, "code", None) for kind in vars(errors).values()}
    assert _texts_after(r"Event\.error\) ==", query) <= {EventsUnavailable.__name__}
    assert functions <= set(FUNCTION_PACKAGES)


def test_names_are_found_in_queries() -> None:
    """The test before this one does find the names that it compares."""
    everything = " ".join(QUERIES.values())
    events = _texts_after(r"(?:Event\.event\)|\bName) (?:==|in)", everything)

    assert {"secret_read_failed", "dependency_failed", "session_created", "session_revoked"} <= events
    assert {"UpstreamQuotaExceeded", "KeyUnavailable"} <= _texts_after(
        r"(?:Code in|Event\.code\) ==)", everything
    )
    assert "create_session" in _texts_after(r"OperationName (?:==|in)", everything)


def test_probes_do_not_hide_server_errors() -> None:
    """The alert counts the functions for sessions, and not those that probes call."""
    functions = {
        function.name for function in FUNCTIONS if function.trigger.get("route", "").startswith("sessions")
    }

    assert set(re.findall(r'"([a-z]+_[a-z]+)"', QUERIES["server-errors"])) == functions


def test_probes_write_no_log() -> None:
    """The host logs no calls of the function that probes call, and logs those of all others."""
    levels = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["logLevel"]

    assert {name: level for name, level in levels.items() if level != "Information"} == {
        "Function.health": "Warning"
    }
    assert "health" in {function.name for function in FUNCTIONS}


def test_the_poison_queue_is_the_one_that_is_watched() -> None:
    """The host moves failed messages to this queue."""
    assert f'"/{RESULTS_QUEUE}-poison/"' in QUERIES["poison-queue"]


def test_each_poison_message_raises_one_alert() -> None:
    """The query sees the messages that arrived since its last run."""
    [alert] = [alert for alert in LOG_ALERTS if alert.name == "poison-queue"]
    [minutes] = re.findall(r"ingestion_time\(\) > ago\((\d+)m\)", QUERIES["poison-queue"])

    assert alert.every == f"PT{minutes}M"


def _texts_after(pattern: str, query: str) -> set[str]:
    """The quoted texts, or the list of them, after an operator of a query."""
    lists = re.findall(pattern + r' (\([^)]+\)|"[^"]+")', query)
    return set(re.findall(r'"([^"]+)"', " ".join(lists)))


def _logged_fields() -> Iterator[str]:
    for folder in (*FUNCTION_PACKAGES, "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "log_event"
                ):
                    yield from (keyword.arg for keyword in node.keywords if keyword.arg)
