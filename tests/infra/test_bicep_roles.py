"""Role assignments: these, and no others."""

from collections.abc import Mapping

import pytest

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.role_assignments import KIND, ROLES, Right, assigned, expected, scope_of


@pytest.fixture(params=["key", "identity"])
def snapshot(
    request: pytest.FixtureRequest, snapshots: Mapping[str, Snapshot], switched: Snapshot
) -> Snapshot:
    """Three regions that call Face with a key, and one that calls it as itself."""
    return snapshots["prod"] if request.param == "key" else switched


@pytest.fixture
def rights(snapshot: Snapshot, snapshots: Mapping[str, Snapshot]) -> list[Right]:
    return expected(snapshot, face_takes_keys=snapshot is snapshots["prod"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_environment_assigns_these_roles_alone(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """The app and the topic of each region may do what they have to, in their own region, and nothing else."""
    snapshot = snapshots[environment]

    assert assigned(snapshot) == expected(snapshot, face_takes_keys=True)


def test_with_identity_the_app_may_call_face(switched: Snapshot) -> None:
    """One right more, and where the app has a key it is not there."""
    assert assigned(switched) == expected(switched, face_takes_keys=False)


def test_a_dropped_assignment_is_noticed(snapshot: Snapshot, rights: list[Right]) -> None:
    """Each of them."""
    for one in snapshot.find(KIND):
        assert assigned(snapshot.replaced(one)) != rights


def test_an_assignment_more_is_noticed(snapshot: Snapshot, rights: list[Right]) -> None:
    """Each of them twice, which stands for any other."""
    for one in snapshot.find(KIND):
        assert assigned(snapshot.replaced(one, one, one)) != rights


@pytest.mark.parametrize("guid", ROLES.values(), ids=ROLES)
def test_another_role_is_noticed(snapshot: Snapshot, rights: list[Right], guid: str) -> None:
    """Each assignment with each role that it should not have."""
    for one in snapshot.find(KIND):
        definition = one["properties"]["roleDefinitionId"].rsplit("/", 1)[0]
        other = snapshot.changed(one, "properties.roleDefinitionId", f"{definition}/{guid}")

        assert (assigned(other) == rights) is one["properties"]["roleDefinitionId"].endswith(guid)


def test_another_principal_is_noticed(snapshot: Snapshot, rights: list[Right]) -> None:
    """Each assignment to each principal that should not have it, other regions' included."""
    principals = {one["properties"]["principalId"] for one in snapshot.find(KIND)}
    assert len(principals) == 2 * len(snapshot.stamps())

    for one in snapshot.find(KIND):
        for principal in principals:
            other = snapshot.changed(one, "properties.principalId", principal)

            assert (assigned(other) == rights) is (principal == one["properties"]["principalId"])


def test_another_scope_is_noticed(snapshot: Snapshot, rights: list[Right]) -> None:
    """Each assignment at each resource that it should not be about."""
    ids = {scope_of(one): one["id"] for one in snapshot.find(KIND)}

    for one in snapshot.find(KIND):
        for scope, name in ids.items():
            other = snapshot.changed(one, "id", name)

            assert (assigned(other) == rights) is (scope == scope_of(one))


def test_assignments_are_named_after_what_they_say(snapshot: Snapshot) -> None:
    """An identity that was made anew gets assignments of its own: a name is scope, principal and role."""
    for one in snapshot.find(KIND):
        scope, principal = one["id"].split("'")[1], one["properties"]["principalId"].strip("[]")
        role = one["properties"]["roleDefinitionId"].split("/")[-1]

        assert one["name"] == f"[guid('{scope}', {principal}, '{role}')]"
        assert one["properties"]["principalType"] == "ServicePrincipal"


def test_the_roles_that_may_be_given_are_these(templates: Mapping[str, Compiled]) -> None:
    """Who deploys may give each role of the list, and none that nothing has."""
    assert set(templates["role-ids.bicep"].template["variables"]["roleIds"].values()) == set(ROLES.values())
