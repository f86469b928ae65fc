"""What must hold in every region, and whether the tests would notice if it did not."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.expectations import Rule
from tests.infra.infra_rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_holds_in_every_region_of_every_environment(
    snapshots: Mapping[str, Snapshot], rule: Rule
) -> None:
    """Each line of the table holds for each resource that it is about."""
    assert [line for name in rule.environments for line in rule.broken(snapshots[name])] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_breaks_when_its_property_is_changed(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """Each line of the table can fail: once for each resource that it is about, when only that one is changed.

    What names something of the region's own is also changed to what another region has there.
    """
    assert [
        name for environment in rule.environments for name in rule.unnoticed(snapshots[environment])
    ] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_breaks_when_a_region_lacks_the_resource(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """No line of the table holds for want of a resource: where one region has none, that is said."""
    for environment in rule.environments:
        snapshot = snapshots[environment]
        gone = snapshot.find(rule.resource, rule.groups(snapshot)[-1])
        kept = tuple(resource for resource in snapshot.resources if resource not in gone)
        without = Snapshot(kept, snapshot.outputs)

        assert any("has no" in line for line in rule.broken(without))
