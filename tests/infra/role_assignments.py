"""Who may do what in a region: the whole list of its role assignments."""

import re
from dataclasses import dataclass

from tests.infra.arm_snapshot import Resource, Snapshot, group_of, plain

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
APP, TOPIC = "identity", "topic"
"""The modules whose outputs the principals are: the app's own identity, and the topic's."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One assignment: who, what of, and as what."""

    principal: str
    scope: str
    role: str


_ACCOUNT = "Microsoft.Storage/storageAccounts"
RIGHTS = (
    Right(APP, _ACCOUNT, "Storage Blob Data Owner"),
    Right(APP, _ACCOUNT, "Storage Queue Data Contributor"),
    Right(APP, _ACCOUNT, "Storage Table Data Contributor"),
    Right(APP, "Microsoft.KeyVault/vaults", "Key Vault Secrets User"),
    Right(APP, "Microsoft.EventGrid/topics", "EventGrid Data Sender"),
    Right(APP, "Microsoft.Insights/components", "Monitoring Metrics Publisher"),
    Right(TOPIC, f"{_ACCOUNT}/blobServices/containers:dead-letters", "Storage Blob Data Contributor"),
    Right(TOPIC, f"{_ACCOUNT}/queueServices/queues:liveness-events", "Storage Queue Data Message Sender"),
)
"""With a key for Face."""
RIGHT_AT_FACE = Right(APP, "Microsoft.CognitiveServices/accounts", "Cognitive Services User")
"""In addition, where the app calls Face as itself."""


def expected(snapshot: Snapshot, *, face_takes_keys: bool) -> list[Right]:
    """The list for all regions, each scope as the id of the one resource of the region that it is."""
    rights = []
    for stamp in snapshot.stamps():
        for right in RIGHTS if face_takes_keys else (*RIGHTS, RIGHT_AT_FACE):
            [scope] = snapshot.find(right.scope, stamp)
            rights.append(Right(f"[{stamp}/{right.principal}.principalId]", scope["id"], right.role))
    return sorted(rights)


def assigned(snapshot: Snapshot) -> list[Right]:
    """What is really assigned; what cannot be read as such shows as it is."""
    names = {guid: name for name, guid in ROLES.items()}
    return sorted(
        Right(
            plain(one["properties"]["principalId"]),
            scope_of(one),
            names.get(role := one["properties"]["roleDefinitionId"].split("/")[-1], role),
        )
        for one in snapshot.find(KIND)
    )


def scope_of(assignment: Resource) -> str:
    """The id of the resource that an assignment is about; without a scope it is about a whole resource group."""
    found = re.match(rf"\[extensionResourceId\('([^']+)', '{KIND}', ", assignment["id"])
    return found[1] if found else group_of(assignment)
