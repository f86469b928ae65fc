"""`bootstrap/main.bicep`: the identities of the pipelines, which jobs may use each, and what it may do."""

import re

import pytest

from tests.infra.arm_snapshot import Snapshot, plain
from tests.infra.bicep_compiler import Bicep, snapshot_with
from tests.infra.test_roles import KIND, ROLES

_PARAMETERS = """
using '../bootstrap/main.bicep'
param repository = 'example/face-liveness-broker'
param location = 'westeurope'
"""
_DEPLOYERS = ("dev", "prod-first", "prod-rest")
_LOOKERS = ("what-if-dev", "what-if-prod")
_BUILT_IN = {
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
_CREDENTIALS = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
_DEFINITION = "Microsoft.Authorization/roleDefinitions"


@pytest.fixture(scope="module")
def bootstrap(bicep: Bicep, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshot_with(bicep, _PARAMETERS, tmp_path_factory.mktemp("bootstrap"))


def test_each_identity_is_for_one_environment_of_the_repository(bootstrap: Snapshot) -> None:
    """A job of another environment, branch or repository cannot use it."""
    usable_by = {
        one["name"].split("/")[0]: tuple(
            one["properties"][part] for part in ("issuer", "subject", "audiences")
        )
        for one in bootstrap.find(_CREDENTIALS)
    }

    assert usable_by == {
        f"id-liveness-deployer-{environment}": (
            "https://token.actions.githubusercontent.com",
            f"repo:example/face-liveness-broker:environment:{environment}",
            ["api://AzureADTokenExchange"],
        )
        for environment in (*_DEPLOYERS, *_LOOKERS)
    }


def test_identities_have_exactly_these_roles(bootstrap: Snapshot) -> None:
    """Deployers may create resources and assign some roles; the what-if jobs may only read."""
    assert _rights(bootstrap) == _EXPECTED


def test_deployers_may_assign_only_the_roles_of_the_template(bootstrap: Snapshot) -> None:
    """A deployer that could assign any role could make itself an owner. The condition limits additions and removals.

    https://learn.microsoft.com/azure/role-based-access-control/delegate-role-assignments-examples
    """
    roles = f"GuidEquals {{{', '.join(sorted(ROLES.values()))}}}"
    locks = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
        f"(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:{roles} "
        "AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
        "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'})) AND "
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
        f"(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:{roles}))"
    )
    conditions = [
        one["properties"]["condition"] for one in bootstrap.find(KIND) if one["properties"]["condition"]
    ]

    assert [_sorted_lists(condition) for condition in conditions] == [locks] * len(_DEPLOYERS)


def test_what_if_may_write_nothing(bootstrap: Snapshot) -> None:
    """Its jobs run for pull requests, before anybody has approved them."""
    [definition] = bootstrap.find(_DEFINITION)

    assert definition["properties"]["permissions"] == _LOOKING


_EXPECTED = sorted(
    [
        *(("Contributor", f"deployers[{number}]", "") for number in range(3)),
        *(("Role Based Access Control Administrator", f"deployers[{number}]", "2.0") for number in range(3)),
        *(("Liveness broker what-if", f"lookers[{number}]", "") for number in range(2)),
    ]
)
_LOOKING = [
    {
        "actions": [
            "*/read",
            "Microsoft.Resources/deployments/validate/action",
            "Microsoft.Resources/deployments/whatIf/action",
        ],
        "notActions": ["Microsoft.Web/sites/hostruntime/*/read"],
    }
]


def _rights(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    """Role, principal, and the version of the condition where there is one."""
    [definition] = snapshot.find(_DEFINITION)
    names = {**_BUILT_IN, definition["name"]: definition["properties"]["roleName"]}
    return sorted(
        (
            names[one["properties"]["roleDefinitionId"].split("/")[-1]],
            plain(one["properties"]["principalId"])[len("[rg-liveness-deployers/") : -len(".principalId]")],
            one["properties"]["conditionVersion"] if one["properties"]["condition"] else "",
        )
        for one in snapshot.find(KIND)
    )


def _sorted_lists(condition: str) -> str:
    """A condition on one line, with its lists of roles sorted."""
    line = " ".join(condition.split())
    return re.sub(
        r"\{([\w-]+(?:, [\w-]+)+)\}", lambda found: f"{{{', '.join(sorted(found[1].split(', ')))}}}", line
    )
