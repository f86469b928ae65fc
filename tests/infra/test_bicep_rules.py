"""What must hold in every region, and whether the tests would notice if it did not."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.infra_rules import RULES, Rule


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_holds_in_every_region_of_every_environment(
    snapshots: Mapping[str, Snapshot], rule: Rule
) -> None:
    """Each line of the table holds for each resource that it is about."""
    assert [line for name in rule.environments for line in rule.broken(snapshots[name])] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_breaks_when_its_property_is_changed(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """Each line of the table can fail: once for each resource that it is about, when only that one is changed."""
    for environment in rule.environments:
        for index in _concerned(rule, snapshots[environment]):
            changed = snapshots[environment].changed(index, rule.property, rule.expected.spoiled)

            assert len(rule.broken(changed)) == 1, changed.resources[index]["name"]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_breaks_when_a_region_lacks_the_resource(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """No line of the table holds for want of a resource: where one region has none, that is said."""
    for environment in rule.environments:
        snapshot = snapshots[environment]
        gone = snapshot.find(rule.resource, snapshot.stamps()[-1])
        kept = tuple(resource for resource in snapshot.resources if resource not in gone)
        without = Snapshot(kept, snapshot.outputs)

        assert any("has no" in line for line in rule.broken(without))


def _concerned(rule: Rule, snapshot: Snapshot) -> list[int]:
    found = [id(resource) for stamp in snapshot.stamps() for resource in snapshot.find(rule.resource, stamp)]
    return [index for index, resource in enumerate(snapshot.resources) if id(resource) in found]
