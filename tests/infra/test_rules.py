"""The table of rules."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import ABSENT, Snapshot
from tests.infra.rule import Rule
from tests.infra.rules import ACCOUNT, RULES


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_holds(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """It holds for each such resource, and each region has one."""
    for environment in rule.environments:
        assert rule.broken(snapshots[environment]) == []


@pytest.mark.parametrize(
    ("kind", "path", "expected", "faults"),
    [
        (ACCOUNT, "properties.minimumTlsVersion", "TLS1_1", 3),
        (ACCOUNT, "properties.allowSharedKeyAccess", 0, 3),
        (ACCOUNT, "properties.allowSharedKeyAccess", ABSENT, 3),
        (ACCOUNT, "properties.misspelt", True, 3),
        (ACCOUNT, "location", "westeurope", 2),
        ("Microsoft.Cache/redis", "location", "westeurope", 3),
    ],
)
def test_broken_rule_is_found_in_each_region(
    snapshots: Mapping[str, Snapshot], kind: str, path: str, expected: object, faults: int
) -> None:
    """Also a value of another type, one that is right in another region, and a resource that is missing."""
    assert len(Rule(kind, path, expected, "a reason").broken(snapshots["prod"])) == faults
