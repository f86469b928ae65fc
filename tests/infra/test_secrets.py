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
    """One secret of each region holds a key, one holds a random text, and no other resource holds either."""
    snapshot = snapshots[environment]
    regions = len(snapshot.region_groups())

    assert _with(_CREDENTIALS, snapshot) == ["face-key"] * regions
    assert _with(_MADE_UP, snapshot) == ["id-pepper"] * regions


def test_a_secret_elsewhere_is_found(snapshots: Mapping[str, Snapshot]) -> None:
    """A secret in a tag of any resource is found."""
    dev = snapshots["dev"]
    [key, pepper] = [secret["properties"]["value"] for secret in dev.find(SECRETS)]

    for resource in dev.resources:
        assert len(_with(_CREDENTIALS, dev.changed(resource, "tags.leak", key))) == 2
        assert len(_with(_MADE_UP, dev.changed(resource, "tags.leak", pepper))) == 2


def test_no_module_passes_a_secret_on(templates: Mapping[str, Compiled]) -> None:
    """No output of a template and no parameter of a module reads a key: the history of deployments keeps both."""
    for template in nested(templates["main.bicep"].template):
        assert not _CREDENTIALS.search(json.dumps(template.get("outputs", {})))
        for module in (
            part for part in resources_of(template) if part["type"] == "Microsoft.Resources/deployments"
        ):
            assert not _CREDENTIALS.search(json.dumps(module["properties"].get("parameters", {})))


def test_the_secret_parameter_is_marked_as_secure(templates: Mapping[str, Compiled]) -> None:
    """The history of deployments does not keep the pepper."""
    parameters = templates["modules/secrets.bicep"].template["parameters"]
    secure = [name for name, parameter in parameters.items() if parameter["type"] == "securestring"]

    assert secure == ["pepper"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_app_finds_the_secrets_by_its_own_names(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """The vault holds exactly the secrets that the settings name by default."""
    snapshot = snapshots[environment]

    for stamp in snapshot.region_groups():
        names = {secret["name"].split("/")[-1] for secret in snapshot.find(SECRETS, stamp)}
        assert names == {Settings.face_key_secret, Settings.pepper_secret}


def _with(what: re.Pattern[str], snapshot: Snapshot) -> list[str]:
    """The names of the resources with a matching text, once for each text."""
    return [resource["name"].split("/")[-1] for resource, text in snapshot.texts() if what.search(text)]
