"""`modules/roles.bicep`: the complete list of the role assignments of a region."""

import re
from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Resource, Snapshot, group_of, plain
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.rules import ACCOUNT, CONTAINERS, FACE, INSIGHTS, QUEUES, TOPIC, VAULT

KIND = "Microsoft.Authorization/roleAssignments"
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "Cognitive Services User": "a97b65f3-24c7-4388-baec-2e87135dc908",
    "EventGrid Data Sender": "d5a91429-5739-47e2-a06b-3470a27159e7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
Assignment = tuple[str, str, str]
"""The principal, the scope, and the role. The principals are outputs of the modules `identity` and `topic`."""
ASSIGNMENTS: tuple[Assignment, ...] = (
    ("identity", ACCOUNT, "Storage Blob Data Owner"),
    ("identity", f"{QUEUES}:liveness-results", "Storage Queue Data Contributor"),
    ("identity", f"{QUEUES}:liveness-results-poison", "Storage Queue Data Contributor"),
    ("identity", ACCOUNT, "Storage Table Data Contributor"),
    ("identity", VAULT, "Key Vault Secrets User"),
    ("identity", TOPIC, "EventGrid Data Sender"),
    ("identity", INSIGHTS, "Monitoring Metrics Publisher"),
    ("topic", f"{CONTAINERS}:dead-letters", "Storage Blob Data Contributor"),
    ("topic", f"{QUEUES}:liveness-events", "Storage Queue Data Message Sender"),
)
WITHOUT_A_KEY: Assignment = ("identity", FACE, "Cognitive Services User")
"""The further assignment where the app calls Face with its identity."""


@pytest.fixture(params=[*ENVIRONMENTS, "switched"])
def snapshot(
    request: pytest.FixtureRequest, snapshots: Mapping[str, Snapshot], switched: Snapshot
) -> Snapshot:
    """Regions that call Face with a key, and one that calls it with its identity."""
    return switched if request.param == "switched" else snapshots[request.param]


@pytest.fixture
def rights(snapshot: Snapshot, switched: Snapshot) -> list[Assignment]:
    """The assignments of all regions; a scope is the id of the one resource that it names in its region."""
    found = []
    for group in snapshot.region_groups():
        for module, kind, role in (*ASSIGNMENTS, *([WITHOUT_A_KEY] if snapshot is switched else [])):
            [scope] = snapshot.find(kind, group)
            found.append((f"[{group}/{module}.principalId]", scope["id"], role))
    return sorted(found)


def test_there_are_exactly_these_assignments(snapshot: Snapshot, rights: list[Assignment]) -> None:
    """App and topic have the roles that they need, in their own region, and no other role."""
    assert assigned(snapshot) == rights


def test_an_assignment_is_named_after_its_content(snapshot: Snapshot) -> None:
    """A name is made of scope, principal and role, so that a new identity gets new assignments."""
    for one in snapshot.find(KIND):
        scope, principal = one["id"].split("'")[1], one["properties"]["principalId"].strip("[]")
        role = one["properties"]["roleDefinitionId"].split("/")[-1]

        assert one["name"] == f"[guid('{scope}', {principal}, '{role}')]"
        assert one["properties"]["principalType"] == "ServicePrincipal"


def test_deployers_may_assign_exactly_these_roles(templates: Mapping[str, Compiled]) -> None:
    """The list that limits deployers has no role that nothing needs."""
    assert set(templates["role-ids.bicep"].template["variables"]["roleIds"].values()) == set(ROLES.values())


def assigned(snapshot: Snapshot) -> list[Assignment]:
    """The assignments of a snapshot."""
    names = {guid: name for name, guid in ROLES.items()}
    found = []
    for one in snapshot.find(KIND):
        role = one["properties"]["roleDefinitionId"].split("/")[-1]
        found.append((plain(one["properties"]["principalId"]), scope_of(one), names.get(role, role)))
    return sorted(found)


def scope_of(assignment: Resource) -> str:
    """The id of the resource that an assignment is about; without one, it is about the whole resource group."""
    found = re.match(rf"\[extensionResourceId\('([^']+)', '{KIND}', ", assignment["id"])
    return found[1] if found else group_of(assignment)
