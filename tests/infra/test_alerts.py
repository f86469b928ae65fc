"""`modules/alerts.bicep` and `alerts/`: the queries look for names that the code writes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared import errors
from shared.errors import EventsUnavailable
from shared.queues.port import RESULTS_QUEUE
from tests.architecture.source_tree import FUNCTION_PACKAGES
from tests.contract.expected_functions import FUNCTIONS
from tests.infra.arm_snapshot import Snapshot, plain
from tests.infra.bicep_compiler import ENVIRONMENTS, ROOT, Bicep, snapshot_with
from tests.infra.queries import ALERTS, SET_BY_THE_TEMPLATE, WORKBOOK
from tests.infra.rules import WORKSPACE


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
    """The objective is about the functions for sessions, and not about those that probes call."""
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


def test_each_poison_message_raises_an_alert() -> None:
    """The query watches the queue where the host moves failed messages."""
    assert f'"/{RESULTS_QUEUE}-poison/"' in ALERTS["poison-queue"]


@pytest.mark.parametrize("name", [name for name, query in ALERTS.items() if "ingestion_time()" in query])
def test_windows_of_two_runs_overlap(deployed: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """A line that arrives while the query runs is seen by the next run, which looks at the time of arrival."""
    every = _minutes(deployed[name]["evaluationFrequency"])
    [minutes] = re.findall(r"ingestion_time\(\) > ago\((\d+)m\)", ALERTS[name])

    assert every < int(minutes) <= 2 * every
    assert deployed[name]["overrideQueryTimeRange"] == "P1D"


def test_windows_of_queries_are_as_far_as_the_alerts_look_back(
    deployed: Mapping[str, Mapping[str, Any]],
) -> None:
    """A query sees only what lies within the range of its alert, and a late line is seen by the next run."""
    for name, query in ALERTS.items():
        alert = deployed[name]
        assert _minutes(alert["windowSize"]) == 2 * _minutes(alert["evaluationFrequency"])
        look_back = _minutes(alert.get("overrideQueryTimeRange") or alert["windowSize"])
        reached = [_minutes(f"PT{span}".upper()) for span in re.findall(r"ago\((\d+[mhd])\)", query)]
        assert max(reached, default=0) <= look_back, name


# The share of the budget that the rates use up: https://sre.google/workbook/alerting-on-slos/, table 5-8.
_DAYS = 30


@pytest.mark.parametrize("name", ["requests-burn-budget", "events-burn-budget"])
def test_burn_rates_use_up_the_shares_of_the_workbook(name: str) -> None:
    """An hour at 14.4 uses up 2 % of the budget of 30 days, and six hours at 6 use up 5 %."""
    rates = re.findall(r"(Failed|Late)(\d+[mh]) > ([\d.]+) \* budget", ALERTS[name])
    by_window = {window: float(rate) for _, window, rate in rates}

    assert by_window == {"1h": 14.4, "5m": 14.4, "6h": 6.0, "30m": 6.0}
    assert by_window["1h"] * 1 / (_DAYS * 24) == pytest.approx(0.02)
    assert by_window["6h"] * 6 / (_DAYS * 24) == pytest.approx(0.05)


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


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_template_sets_what_queries_leave_open(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """No placeholder is deployed. The app is known by the object id of its identity."""
    snapshot = snapshots[environment]
    texts = {
        rule["name"]: rule["properties"]["criteria"]["allOf"][0]["query"]
        for rule in snapshot.find("Microsoft.Insights/scheduledQueryRules")
    }

    open_ones = {name for name, text in texts.items() if any(one in text for one in SET_BY_THE_TEMPLATE)}
    [group] = snapshot.region_groups()[:1]
    assert open_ones == {"table-written-by-others"}
    # The object id is known only at deployment: the snapshot has the expression that sets it.
    expression = plain(
        snapshot.find("Microsoft.Insights/scheduledQueryRules:table-written-by-others", group)[0]
    )
    text = expression["properties"]["criteria"]["allOf"][0]["query"]
    assert text.startswith("[replace(")
    assert text.endswith(f"', 'APP_PRINCIPAL_ID', {group}/identity.principalId)]")


def test_the_workbook_has_every_query_of_its_folder(snapshots: Mapping[str, Snapshot]) -> None:
    """One part for each query, over the logs of its own region."""
    for group in snapshots["prod"].region_groups():
        [workbook] = snapshots["prod"].find("Microsoft.Insights/workbooks", group)
        [workspace] = snapshots["prod"].find(WORKSPACE, group)
        content = json.loads(workbook["properties"]["serializedData"])
        queries = [item["content"]["query"] for item in content["items"] if item["type"] == 3]

        assert sorted(queries) == sorted(WORKBOOK.values())
        assert workbook["properties"]["sourceId"] == workspace["id"]


def test_places_of_the_public_cloud_ask_there_alone(snapshots: Mapping[str, Snapshot]) -> None:
    """Other clouds have other places: there is no availability test in them, nor its alert."""
    prod = snapshots["prod"]
    alerts = [one for one in prod.find("Microsoft.Insights/metricAlerts") if one["name"] == "health"]
    asking = [*prod.find("Microsoft.Insights/webtests"), *alerts]

    assert len(asking) == 6
    assert {one.get("condition") for one in asking} == {
        "[and(true(), equals(environment().name, 'AzureCloud'))]"
    }


def test_nothing_is_probed_and_no_budget_is_set_unless_it_is_asked_for(
    snapshots: Mapping[str, Snapshot], bicep: Bicep, tmp_path: Path
) -> None:
    """An environment whose alerts nobody hears has no availability test; a budget has the amount that was given."""
    kinds = ("Microsoft.Insights/webtests", "Microsoft.Consumption/budgets")
    asked = snapshot_with(bicep, _WITH_A_BUDGET, tmp_path)
    [budget] = asked.find("Microsoft.Consumption/budgets")

    assert [len(snapshots["dev"].find(kind)) for kind in kinds] == [0, 0]
    assert [len(snapshots["prod"].find(kind)) for kind in kinds] == [3, 0]
    assert [len(asked.find(kind)) for kind in kinds] == [1, 1]
    assert budget["properties"]["amount"] == 200
    assert budget["properties"]["timePeriod"] == {"startDate": "2026-12-01T00:00:00Z"}
    told = budget["properties"]["notifications"].values()
    assert [
        (one["enabled"], one["thresholdType"], one["threshold"], one["contactEmails"]) for one in told
    ] == [
        (True, "Forecasted", 100, ["a@example.com"]),
        (True, "Actual", 80, ["a@example.com"]),
    ]


_WITH_A_BUDGET = """
using '../main.bicep'
param environmentName = 'test'
param owner = 'tests'
param regions = [{ name: 'westeurope', code: 'weu' }]
param broker = { clientAuth: 'none' }
param monitoring = { alertEmails: ['a@example.com'], budget: { amount: 200, from: '2026-12-01' } }
"""
