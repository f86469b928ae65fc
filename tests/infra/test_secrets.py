"""`modules/secrets.bicep`: secrets are in the vault, and nowhere else."""

import json
import re
from collections.abc import Mapping

import pytest

from shared.settings import Settings
from tests.infra.arm_snapshot import Snapshot, nested, resources_of
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.rules import SECRETS

# Functions of the template language that return credentials.
_CREDENTIALS = re.compile(
    r"\b(list(?:Keys|Secrets?|AccountSas|ServiceSas|Credentials|ConnectionStrings)?\w*)\(", re.IGNORECASE
)
_MADE_UP = re.compile(r"newGuid\(")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_face_key_and_the_pepper_go_to_the_vault_alone(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """Each region has exactly the secrets that the settings name, and no other resource holds either."""
    snapshot = snapshots[environment]
    keys, peppers = _with(_CREDENTIALS, snapshot), _with(_MADE_UP, snapshot)

    assert keys == [Settings.face_key_secret] * len(snapshot.region_groups())
    assert peppers == [Settings.pepper_secret] * len(snapshot.region_groups())
    assert sorted(keys + peppers) == sorted(one["name"].split("/")[-1] for one in snapshot.find(SECRETS))


def test_no_module_passes_a_secret_on(templates: Mapping[str, Compiled]) -> None:
    """No output of a template and no parameter of a module reads a key: the history of deployments keeps both.

    It does not keep the pepper, which is the one parameter that is marked as secure.
    """
    parameters = templates["modules/secrets.bicep"].template["parameters"]

    for template in nested(templates["main.bicep"].template):
        assert not _CREDENTIALS.search(json.dumps(template.get("outputs", {})))
        for part in resources_of(template):
            if part["type"] == "Microsoft.Resources/deployments":
                assert not _CREDENTIALS.search(json.dumps(part["properties"].get("parameters", {})))
    assert [name for name, one in parameters.items() if one["type"] == "securestring"] == ["pepper"]


def test_keys_are_listed_only_where_the_account_has_some(templates: Mapping[str, Compiled]) -> None:
    """Azure may evaluate a value whose resource is not deployed, and refuses to list keys that are switched off."""
    secret = templates["modules/secrets.bicep"].template["resources"]["keyVault::faceKey"]

    assert secret["properties"]["value"].startswith("[if(parameters('faceTakesKeys'), ")
    assert secret["properties"]["value"].endswith(", '')]")


def _with(what: re.Pattern[str], snapshot: Snapshot) -> list[str]:
    """The names of the resources with a matching text, once for each text."""
    return [resource["name"].split("/")[-1] for resource, text in snapshot.texts() if what.search(text)]
