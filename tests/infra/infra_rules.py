"""What must hold in every region: a table of (resource, property, expected, why)."""

from tests.infra import rules_alerts, rules_app, rules_data, rules_network
from tests.infra.expectations import Rule
from tests.infra.rules_alerts import ALERTS

__all__ = ["ALERTS", "RULES"]

RULES: tuple[Rule, ...] = (
    *rules_app.RULES,
    *rules_data.RULES,
    *rules_network.RULES,
    *rules_alerts.RULES,
)
