"""The table of rules: each line holds, and each line can be broken."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.rule import Rule
from tests.infra.rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_holds_in_every_region_of_every_environment(
    snapshots: Mapping[str, Snapshot], rule: Rule
) -> None:
    """Each rule holds for each resource that it is about."""
    assert [line for name in rule.environments for line in rule.broken(snapshots[name])] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_is_broken_by_a_change_of_one_resource(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """A rule catches a wrong value in each resource, also the value that is right in another region."""
    assert [line for name in rule.environments for line in rule.unnoticed(snapshots[name])] == []


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_is_broken_by_a_missing_resource(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """A rule catches a region that lacks the resource."""
    for snapshot in (snapshots[name] for name in rule.environments):
        gone = snapshot.find(rule.resource, rule.groups(snapshot)[-1])
        kept = tuple(resource for resource in snapshot.resources if resource not in gone)

        assert any("has no" in line for line in rule.broken(Snapshot(kept, snapshot.outputs)))
