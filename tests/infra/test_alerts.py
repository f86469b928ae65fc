"""`modules/alerts.bicep` and `alerts/`: the queries look for names that the code writes."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from shared import errors
from shared.errors import EventsUnavailable
from tests.architecture.source_tree import FUNCTION_PACKAGES
from tests.contract.expected_functions import FUNCTIONS
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ROOT
from tests.infra.queries import ALERTS, WORKBOOK
from tests.infra.rules import BUDGET, WEB_TEST


def _texts_after(pattern: str, query: str) -> set[str]:
    """The quoted texts, or the list of them, after an operator of a query."""
    lists = re.findall(pattern + r' (\([^)]+\)|"[^"]+")', query)
    return set(re.findall(r'"([^"]+)"', " ".join(lists)))


# What a query names: how it is found, what exists, and one that must be found.
NAMES: dict[str, tuple[str, set[str], str]] = {
    "code": (
        r"Event\.code\) (?:==|in)",
        {str(getattr(kind, "code", None)) for kind in vars(errors).values()},
        "KeyUnavailable",
    ),
    "error": (r"Event\.error\) ==", {EventsUnavailable.__name__}, "EventsUnavailable"),
    "function": (r"OperationName (?:==|in)", set(FUNCTION_PACKAGES), "create_session"),
}


@pytest.fixture(scope="module")
def deployed(snapshots: Mapping[str, Snapshot]) -> Mapping[str, Mapping[str, Any]]:
    """The properties of the alerts over logs of one region, by their names."""
    prod = snapshots["prod"]
    alerts = prod.find("Microsoft.Insights/scheduledQueryRules", prod.region_groups()[0])
    return {alert["name"]: alert["properties"] for alert in alerts}


def _minutes(duration: str) -> int:
    [(number, unit)] = re.findall(r"^PT?(\d+)([MHD])$", duration)
    return int(number) * {"M": 1, "H": 60, "D": 24 * 60}[unit]


def test_each_alert_has_a_query(deployed: Mapping[str, Mapping[str, Any]]) -> None:
    """The files in `alerts/` and the alerts that are deployed have the same names."""
    assert set(ALERTS) == set(deployed)


@pytest.mark.parametrize("kind", NAMES)
def test_names_in_queries_exist(kind: str) -> None:
    """A query would never find an event, a code, an error or a function that has been renamed."""
    pattern, existing, example = NAMES[kind]
    # Only requests have names of functions there; other tables have operations of Azure.
    query = " ".join(query for query in ALERTS.values() if kind != "function" or "AppRequests" in query)

    assert example in _texts_after(pattern, query) <= existing


def test_probes_do_not_hide_server_errors() -> None:
    """The objective is about the functions for sessions alone."""
    of_sessions = {
        name for name, (trigger, *_) in FUNCTIONS.items() if trigger.get("route", "").startswith("sessions")
    }

    assert set(re.findall(r'"([a-z]+_[a-z]+)"', ALERTS["requests-burn-budget"])) == of_sessions


def test_host_logs_our_own_lines_and_not_its_own_two_for_each_call() -> None:
    """Lines of our code come as `Function.NAME.User`, and those of the host about a call as `Function.NAME`.

    https://learn.microsoft.com/azure/azure-functions/configure-monitoring#configure-categories. Probes log nothing.
    """
    levels = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["logLevel"]
    logging = FUNCTIONS.keys() - {"health", "openapi"}
    # Requests are `Host.Results`.
    general = dict.fromkeys(("default", "Host.Aggregator", "Host.Results"), "Information")

    assert levels == {
        **general,
        "Function": "Warning",
        **{f"Function.{name}.User": "Information" for name in logging},
    }


def test_only_requests_are_sampled_in_a_flood() -> None:
    """Each of our own lines arrives. A request may stand for others, and each query counts those too."""
    sampling = json.loads((ROOT / "host.json").read_text("utf-8"))["logging"]["applicationInsights"][
        "samplingSettings"
    ]
    over_requests = [query for query in (*ALERTS.values(), *WORKBOOK.values()) if "AppRequests" in query]

    assert sampling == {"isEnabled": True, "excludedTypes": "Exception;Trace"}
    assert len(over_requests) >= 3
    assert all("ItemCount" in query and "count()" not in query for query in over_requests)


def test_each_query_sees_late_lines_once_more(deployed: Mapping[str, Mapping[str, Any]]) -> None:
    """An alert looks back as far as its query, and to each line in two runs: one may arrive while a query runs."""
    for name, query in ALERTS.items():
        alert = deployed[name]
        window, every = _minutes(alert["windowSize"]), _minutes(alert["evaluationFrequency"])
        look_back = _minutes(alert.get("overrideQueryTimeRange") or alert["windowSize"])
        reached = [_minutes(f"PT{span}".upper()) for span in re.findall(r"ago\((\d+[mhd])\)", query)]
        arrived = [int(found) for found in re.findall(r"ingestion_time\(\) > ago\((\d+)m\)", query)]

        assert window == 2 * every, name
        assert max(reached, default=0) <= look_back, name
        assert all(every < minutes <= 2 * every and look_back == 24 * 60 for minutes in arrived), name


@pytest.mark.parametrize("name", ["requests-burn-budget", "events-burn-budget"])
def test_burn_rates_use_up_the_shares_of_the_workbook(name: str) -> None:
    """An hour at 14.4 uses up 2 % of the budget of 30 days, and six hours at 6 use up 5 %.

    https://sre.google/workbook/alerting-on-slos/, table 5-8.
    """
    rates = re.findall(r"(?:Failed|Late)(\d+[mh]) > ([\d.]+) \* budget", ALERTS[name])

    assert dict(rates) == {"1h": "14.4", "5m": "14.4", "6h": "6", "30m": "6"}


def test_the_objectives_are_those_of_the_page() -> None:
    """docs/operations.md says what is promised, and the queries have the same figures."""
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    shares = dict(re.findall(r"^\| [^|]+ \| ([\d.]+) % \|.*`([\w-]+-burn-budget)` \|$", page, re.MULTILINE))
    budgets = {
        name: float(re.findall(r"let budget = ([\d.]+);", query)[0])
        for name, query in ALERTS.items()
        if name.endswith("-burn-budget")
    }

    assert {name: round(1 - float(share) / 100, 6) for share, name in shares.items()} == budgets


def test_the_workbook_has_every_query_of_its_folder(snapshots: Mapping[str, Snapshot]) -> None:
    """One part for each query."""
    for workbook in snapshots["prod"].find("Microsoft.Insights/workbooks"):
        items = json.loads(workbook["properties"]["serializedData"])["items"]
        queries = [item["content"]["query"] for item in items if item["type"] == 3]

        assert sorted(queries) == sorted(WORKBOOK.values())


def test_nothing_is_probed_and_no_budget_is_set_unless_it_is_asked_for(
    snapshots: Mapping[str, Snapshot],
) -> None:
    """An environment whose alerts nobody hears has no availability test."""
    found = {
        name: [len(snapshots[name].find(kind)) for kind in (WEB_TEST, BUDGET)] for name in ("dev", "prod")
    }

    assert found == {"dev": [0, 0], "prod": [3, 0]}
