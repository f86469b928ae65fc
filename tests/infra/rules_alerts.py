"""What must hold so that somebody hears of trouble, and finds out why."""

from dataclasses import dataclass

from tests.infra.bicep_compiler import INFRA, REQUIRED_VARIABLES
from tests.infra.expectations import Expected, Rule, absent, equal, own, present
from tests.infra.resource_types import (
    ACTION_GROUP,
    INSIGHTS,
    LOG_ALERTS,
    LOGGED,
    METRIC_ALERTS,
    TOPIC,
    WORKSPACE,
)


@dataclass(frozen=True, slots=True)
class Alert:
    """A query over the logs: how bad what it finds is, how often it is asked, and over how long."""

    name: str
    severity: int
    every: str
    look_back: Expected
    ends_by_itself: bool = True

    def rules(self) -> tuple[Rule, ...]:
        """What holds for it."""
        query = (INFRA / f"alerts/{self.name}.kql").read_text("utf-8")
        criteria = "properties.criteria.allOf.0"
        return tuple(
            Rule(f"{LOG_ALERTS}:{self.name}", path, expected, why)
            for path, expected, why in (
                ("properties.enabled", equal(True), _HEARD),
                ("properties.severity", equal(self.severity), "now, or today"),
                ("properties.evaluationFrequency", equal(self.every), "soon enough"),
                ("properties.windowSize", equal(self.every), "nothing is left out in between"),
                ("properties.overrideQueryTimeRange", self.look_back, "the query sees what it asks for"),
                (f"{criteria}.query", equal(query, f"alerts/{self.name}.kql"), "the file is what is asked"),
                (f"{criteria}.timeAggregation", equal("Count"), "a row of the query is an alert"),
                (f"{criteria}.operator", equal("GreaterThan"), "a row of the query is an alert"),
                (f"{criteria}.threshold", equal(0), "a row of the query is an alert"),
                (
                    "properties.autoMitigate",
                    equal(self.ends_by_itself),
                    "it ends with its cause, or somebody closes it",
                ),
                ("properties.scopes", _OWN_WORKSPACE, "the region's own logs"),
                ("properties.actions.actionGroups", _OWN_PEOPLE, _HEARD),
            )
        )


_HEARD = "somebody hears of it"
_OWN_WORKSPACE = own("the region's own workspace", lambda place: [place.id(WORKSPACE)])
_OWN_PEOPLE = own("the region's own group", lambda place: [place.id(ACTION_GROUP)])
_TWO_DAYS = equal("P2D")
_WINDOW = absent()

LOG_QUERIES = (
    Alert("poison-queue", 1, "PT15M", equal("P1D"), ends_by_itself=False),
    Alert("logs-capped", 1, "PT15M", _WINDOW, ends_by_itself=False),
    Alert("upstream-quota", 1, "PT15M", _WINDOW),
    Alert("key-unavailable", 1, "PT15M", _WINDOW),
    Alert("server-errors", 1, "PT15M", _WINDOW),
    Alert("throttling", 2, "PT30M", _TWO_DAYS),
    Alert("events-unavailable", 1, "PT15M", equal("PT1H")),
    Alert("no-events", 1, "PT15M", _TWO_DAYS),
)
ALERTS = tuple(alert.name for alert in LOG_QUERIES)

_DEAD_LETTERS = f"{METRIC_ALERTS}:dead-letters"
_METRIC = "properties.criteria.allOf.0"
_REFUSED = "a subscriber takes no events"

RULES = (
    # Logs.
    Rule(
        INSIGHTS, "properties.DisableLocalAuth", equal(True), "nothing can be reached with a key that leaks"
    ),
    Rule(
        INSIGHTS,
        "properties.WorkspaceResourceId",
        own("the region's own workspace", lambda place: place.id(WORKSPACE)),
        "logs stay in their region",
    ),
    Rule(WORKSPACE, "properties.features.disableLocalAuth", equal(True), "as above"),
    Rule(
        WORKSPACE, "properties.workspaceCapping.dailyQuotaGb", present(), "a loop of errors has a price limit"
    ),
    *(
        rule
        for part, logs, why in (
            ("vaults/*", ("AuditEvent",), "who read the key is known"),
            ("queueServices/*", ("StorageWrite", "StorageDelete"), "the alert for poison messages reads it"),
            ("topics/*", ("DeliveryFailures", "PublishFailures"), "why an event did not arrive is known"),
        )
        for rule in (
            Rule(
                f"{LOGGED}:*/{part}",
                "properties.workspaceId",
                own("the region's own workspace", lambda place: place.id(WORKSPACE)),
                "logs stay in their region",
            ),
            Rule(
                f"{LOGGED}:*/{part}",
                "properties.logs",
                equal([{"category": category, "enabled": True} for category in logs]),
                why,
            ),
        )
    ),
    # Alerts.
    Rule(ACTION_GROUP, "properties.enabled", equal(True), _HEARD),
    Rule(
        ACTION_GROUP,
        "properties.emailReceivers.0.emailAddress",
        equal(REQUIRED_VARIABLES["BROKER_ALERT_EMAIL"]),
        _HEARD,
        ("prod",),
    ),
    *(rule for alert in LOG_QUERIES for rule in alert.rules()),
    Rule(_DEAD_LETTERS, "properties.enabled", equal(True), _HEARD),
    Rule(_DEAD_LETTERS, "properties.severity", equal(1), "now, or today"),
    Rule(_DEAD_LETTERS, "properties.evaluationFrequency", equal("PT5M"), "soon enough"),
    Rule(_DEAD_LETTERS, "properties.windowSize", equal("PT15M"), "nothing is left out in between"),
    Rule(_DEAD_LETTERS, "properties.scopes", own("the own topic", lambda place: [place.id(TOPIC)]), _REFUSED),
    Rule(_DEAD_LETTERS, f"{_METRIC}.metricName", equal("DeadLetteredCount"), _REFUSED),
    Rule(_DEAD_LETTERS, f"{_METRIC}.timeAggregation", equal("Total"), _REFUSED),
    Rule(_DEAD_LETTERS, f"{_METRIC}.operator", equal("GreaterThan"), _REFUSED),
    Rule(_DEAD_LETTERS, f"{_METRIC}.threshold", equal(0), _REFUSED),
    Rule(
        _DEAD_LETTERS,
        "properties.actions",
        own("the region's own group", lambda place: [{"actionGroupId": place.id(ACTION_GROUP)}]),
        _HEARD,
    ),
)
