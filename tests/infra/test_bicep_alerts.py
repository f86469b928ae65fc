"""The alerts, and whether what they look for is what the app writes."""

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
from tests.infra.infra_rules import ALERTS
from tests.infra.rules_alerts import LOG_QUERIES
from tests.ops.logged_events import logged_events

QUERIES = {path.stem: path.read_text("utf-8") for path in sorted((INFRA / "alerts").glob("*.kql"))}


def test_there_is_a_query_for_each_alert() -> None:
    """The files and the alerts are the same."""
    assert set(QUERIES) == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_events_that_a_query_looks_for_are_written(name: str) -> None:
    """A query names only events that some code logs: a renamed one would never be seen again."""
    named = re.findall(r'(?:Event\.event\)|\bName) (?:==|in) (\([^)]+\)|"[^"]+")', QUERIES[name])
    events = set(re.findall(r'"([^"]+)"', " ".join(named)))

    assert events <= set(logged_events())


@pytest.mark.parametrize("name", ALERTS)
def test_fields_that_a_query_reads_are_written(name: str) -> None:
    """A query reads only fields that some event has."""
    assert set(re.findall(r"\bEvent\.(\w+)", QUERIES[name])) - {"event"} <= set(_logged_fields())


@pytest.mark.parametrize("name", ALERTS)
def test_codes_that_a_query_looks_for_exist(name: str) -> None:
    """A query names only error codes of the catalogue, and errors that there are."""
    lists = re.findall(r'Code in \(([^)]+)\)|Event\.code\) == ("[^"]+")', QUERIES[name])
    codes = {code for group in lists for code in re.findall(r'"([^"]+)"', " ".join(group))}
    kinds = set(re.findall(r'Event\.error\) == "([^"]+)"', QUERIES[name]))

    assert codes <= {getattr(kind, "code", None) for kind in vars(errors).values()}
    assert kinds <= {EventsUnavailable.__name__}


@pytest.mark.parametrize("name", ALERTS)
def test_functions_that_a_query_looks_for_exist(name: str) -> None:
    """A query about requests names only functions that are there: each has a package of its name."""
    if "AppRequests" not in QUERIES[name]:
        return
    named = re.findall(r'OperationName (?:==|in) (\([^)]+\)|"[^"]+")', QUERIES[name])
    functions = set(re.findall(r'"([^"]+)"', " ".join(named)))

    assert functions <= set(FUNCTION_PACKAGES)


def test_probes_do_not_hide_server_errors() -> None:
    """What is counted is every function that is called for a session, and not what probes call."""
    functions = {
        function.name for function in FUNCTIONS if function.trigger.get("route", "").startswith("sessions")
    }

    assert set(re.findall(r'"([a-z]+_[a-z]+)"', QUERIES["server-errors"])) == functions


def test_probes_write_no_log() -> None:
    """The host's own lines about each call are left out for the function that probes call, and for it alone."""
    levels = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["logLevel"]

    assert {name: level for name, level in levels.items() if level != "Information"} == {
        "Function.health": "Warning"
    }
    assert "health" in {function.name for function in FUNCTIONS}


def test_queries_are_about_something() -> None:
    """The tests before this one find what they look for in the queries."""
    everything = " ".join(QUERIES.values())

    assert {"secret_read_failed", "dependency_failed", "session_created", "session_revoked"} <= set(
        re.findall(r'"([a-z_]+)"', everything)
    )
    assert {"UpstreamQuotaExceeded", "KeyUnavailable"} <= set(re.findall(r'"([A-Za-z]+)"', everything))
    assert "create_session" in everything


def test_the_poison_queue_is_the_one_that_is_watched() -> None:
    """The query looks at the queue that the host moves messages to which fail."""
    assert f'"/{RESULTS_QUEUE}-poison/"' in QUERIES["poison-queue"]


def test_each_message_is_told_once() -> None:
    """What has arrived since the last time the query was asked, and nothing that was told then."""
    [alert] = [alert for alert in LOG_QUERIES if alert.name == "poison-queue"]
    [minutes] = re.findall(r"ingestion_time\(\) > ago\((\d+)m\)", QUERIES["poison-queue"])

    assert alert.every == f"PT{minutes}M"


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
