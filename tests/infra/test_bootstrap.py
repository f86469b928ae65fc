"""`bootstrap/main.bicep`: the identities of the pipelines, which jobs may use each, and what it may do."""

import re
from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot, plain
from tests.infra.bicep_compiler import Bicep, snapshot_with
from tests.infra.rules import GROUP
from tests.infra.test_roles import KIND, ROLES

_PARAMETERS = """
using '../bootstrap/main.bicep'
param repository = 'example@1/face-liveness-broker@2'
param location = 'westeurope'
"""
_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
_CONTRIBUTOR, _ADMINISTRATOR = "Contributor", "Role Based Access Control Administrator"
_BUILT_IN = {
    "b24988ac-6180-42a0-ab88-20f7382dd24c": _CONTRIBUTOR,
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": _ADMINISTRATOR,
}
# Other clouds than the public one have their own.
_AUDIENCE = (
    "[format('api://AzureADTokenExchange{0}', if(equals(environment().name, 'AzureUSGovernment'), 'USGov', "
    "if(equals(environment().name, 'AzureChinaCloud'), 'China', '')))]"
)
_CREDENTIALS = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
_DEFINITION = "Microsoft.Authorization/roleDefinitions"
_ACTIONS = {
    "Microsoft.Resources/deployments/validate/action",
    "Microsoft.Resources/deployments/whatIf/action",
}
# What Azure calls a resource group in the name of an action.
_GROUP = "Microsoft.Resources/subscriptions/resourceGroups"
# https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
_DATA_OR_KEYS = (
    "*/read",
    "Microsoft.Insights/logs/read",
    "Microsoft.OperationalInsights/workspaces/query/read",
    "Microsoft.OperationalInsights/workspaces/sharedKeys/read",
    "Microsoft.Web/sites/functions/masterkey/read",
    "Microsoft.Web/sites/hostruntime/host/_master/read",
)
_ROLE_IDS = f"GuidEquals {{{', '.join(ROLES.values())}}}"
_WRITE = "Microsoft.Authorization/roleAssignments/write"
_DELETE = "Microsoft.Authorization/roleAssignments/delete"
_LOCK = (
    f"((!(ActionMatches{{'{_WRITE}'}})) OR "
    f"(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:{_ROLE_IDS} "
    "AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
    "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'} "
    "AND @Request[Microsoft.Authorization/roleAssignments:PrincipalId] "
    "ForAnyOfAllValues:GuidNotEquals {ITSELF})) AND "
    f"((!(ActionMatches{{'{_DELETE}'}})) OR "
    f"(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:{_ROLE_IDS}))"
)
"""The condition of the role that assigns roles.

https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples
"""


@pytest.fixture(scope="module")
def bootstrap(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot_with(bicep, _PARAMETERS, tmp_path_factory.mktemp("bootstrap"))


def test_each_identity_is_for_one_environment_of_the_repository(bootstrap: Snapshot) -> None:
    """A job of another environment, branch or repository cannot use it."""
    environments = ("dev", "prod-first", "prod-rest", "what-if-dev", "what-if-prod", "smoke")
    usable_by = {
        one["name"].split("/")[0]: [one["properties"][part] for part in ("issuer", "subject", "audiences")]
        for one in bootstrap.find(_CREDENTIALS)
    }

    assert usable_by == {
        f"id-liveness-deployer-{environment}": [
            "https://token.actions.githubusercontent.com",
            f"repo:example@1/face-liveness-broker@2:environment:{environment}",
            [_AUDIENCE],
        ]
        for environment in environments
    }


def test_identities_have_exactly_these_roles(bootstrap: Snapshot) -> None:
    """Deployers may create resources and assign the template's roles alone; the what-if jobs may only read.

    The identity of the smoke test has no role: its token for the broker is all that it needs.

    A deployer that could assign any role could make itself an owner, and one that could assign a role to itself could
    read the secrets. What-if jobs run for pull requests, before anybody has approved them. Their role has the
    subscription in its name, because a tenant has no two custom roles of one name, and each subscription has its own.
    https://learn.microsoft.com/azure/role-based-access-control/custom-roles#custom-role-properties
    """
    [definition] = bootstrap.find(_DEFINITION)
    names = {**_BUILT_IN, definition["name"]: definition["properties"]["roleName"]}
    assignments = [one["properties"] for one in bootstrap.find(KIND)]
    rights = [
        (
            names[one["roleDefinitionId"].split("/")[-1]],
            plain(one["principalId"]).removeprefix("[rg-liveness-deployers/"),
            one["condition"] and _shown(one),
        )
        for one in assignments
    ]

    assert sorted(rights, key=str) == [
        *((_CONTRIBUTOR, f"deployers[{number}].principalId]", None) for number in range(3)),
        *(
            (f"Liveness broker what-if {_SUBSCRIPTION}", f"lookers[{number}].principalId]", None)
            for number in range(2)
        ),
        *((_ADMINISTRATOR, f"deployers[{number}].principalId]", _LOCK) for number in range(3)),
    ]


def test_what_if_reads_each_type_of_the_template_and_neither_data_nor_keys(
    bootstrap: Snapshot, snapshots: Mapping[str, Snapshot], switched: Snapshot
) -> None:
    """A type that it may not read would make a what-if fail: name a new one in bootstrap/main.bicep."""
    [definition] = bootstrap.find(_DEFINITION)
    [permissions] = definition["properties"]["permissions"]
    types = {one["type"] for part in (*snapshots.values(), switched) for one in part.resources}
    reads = {f"{_GROUP if kind == GROUP else kind}/read" for kind in types}

    assert set(permissions) == {"actions"}
    assert reads | _ACTIONS <= set(permissions["actions"])
    assert all(
        action in _ACTIONS or re.fullmatch(r"[\w./]+/read", action) for action in permissions["actions"]
    )
    assert not set(permissions["actions"]) & set(_DATA_OR_KEYS)


def _shown(assignment: Mapping[str, str]) -> str:
    """The condition of an assignment on one line, in which the principal that gets it is called ITSELF."""
    condition = plain(assignment["condition"])
    form = re.fullmatch(r"\[replace\('(.+)', 'ITSELF', (\S+)\)\]", condition, re.DOTALL)
    assert form, condition
    assert f"[{form[2]}]" == plain(assignment["principalId"])
    assert assignment["conditionVersion"].endswith(", null(), '2.0')]")
    return " ".join(form[1].replace("''", "'").split())
