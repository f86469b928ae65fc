"""The table of rules: each line holds, and each line can be broken."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.rule import Rule
from tests.infra.rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_holds_and_can_be_broken(snapshots: Mapping[str, Snapshot], rule: Rule) -> None:
    """It holds for each resource in every region, and finds a wrong value in each, and a region without one.

    A value that is right in another region is wrong too.
    """
    for snapshot in (snapshots[name] for name in rule.environments):
        gone = snapshot.find(rule.resource, rule.groups(snapshot)[-1])
        kept = tuple(resource for resource in snapshot.resources if resource not in gone)

        assert rule.broken(snapshot) == []
        assert rule.unnoticed(snapshot) == []
        assert any("has no" in line for line in rule.broken(Snapshot(kept, snapshot.outputs)))
