"""Where secrets are: in the vault, and nowhere else."""

import json
import re
from collections.abc import Mapping

import pytest

from shared.settings import Settings
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import ENVIRONMENTS, Compiled
from tests.infra.template_order import nested, resources_of

# Functions of the template language that answer credentials.
_CREDENTIALS = re.compile(
    r"\b(list(?:Keys|Secrets?|AccountSas|ServiceSas|Credentials|ConnectionStrings)?\w*)\(", re.IGNORECASE
)
_MADE_UP = re.compile(r"newGuid\(")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_face_key_goes_to_the_vault_alone(snapshots: Mapping[str, Snapshot], environment: str) -> None:
    """Of all that is deployed only the secret `face-key` reads a key of anything, once a region."""
    snapshot = snapshots[environment]

    assert _with(_CREDENTIALS, snapshot) == ["face-key"] * len(snapshot.stamps())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_pepper_goes_to_the_vault_alone(snapshots: Mapping[str, Snapshot], environment: str) -> None:
    """What is made up at random is written to the secret `id-pepper`, and to nothing else."""
    snapshot = snapshots[environment]

    assert _with(_MADE_UP, snapshot) == ["id-pepper"] * len(snapshot.stamps())


def test_a_secret_elsewhere_is_noticed(snapshots: Mapping[str, Snapshot]) -> None:
    """In a tag of whatever resource, to take the least likely place."""
    dev = snapshots["dev"]
    [key, pepper] = [
        secret["properties"]["value"] for secret in dev.find("Microsoft.KeyVault/vaults/secrets")
    ]

    for resource in dev.resources:
        assert len(_with(_CREDENTIALS, dev.changed(resource, "tags.leak", key))) == 2
        assert len(_with(_MADE_UP, dev.changed(resource, "tags.leak", pepper))) == 2


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_output_holds_a_secret(snapshots: Mapping[str, Snapshot], environment: str) -> None:
    """Outputs stay in the history of deployments, where many may read them."""
    assert not _CREDENTIALS.search(json.dumps(dict(snapshots[environment].outputs)))


def test_no_module_hands_a_secret_on(templates: Mapping[str, Compiled]) -> None:
    """Neither an output of any template nor a parameter of any module reads a key."""
    for template in nested(templates["main.bicep"].template):
        assert not _CREDENTIALS.search(json.dumps(template.get("outputs", {})))
        for module in (
            part for part in resources_of(template) if part["type"] == "Microsoft.Resources/deployments"
        ):
            assert not _CREDENTIALS.search(json.dumps(module["properties"].get("parameters", {})))


def test_what_is_secret_is_marked_so(templates: Mapping[str, Compiled]) -> None:
    """The one parameter that is secret is kept out of the history of deployments."""
    parameters = templates["modules/secrets.bicep"].template["parameters"]

    assert [name for name, parameter in parameters.items() if parameter["type"] == "securestring"] == [
        "pepper"
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_app_finds_the_secrets_by_its_own_names(
    snapshots: Mapping[str, Snapshot], environment: str
) -> None:
    """The vault holds the secrets that the settings name by default, and no others."""
    snapshot = snapshots[environment]

    for stamp in snapshot.stamps():
        names = {
            secret["name"].split("/")[-1]
            for secret in snapshot.find("Microsoft.KeyVault/vaults/secrets", stamp)
        }
        assert names == {Settings.face_key_secret, Settings.pepper_secret}


def _with(what: re.Pattern[str], snapshot: Snapshot) -> list[str]:
    """The names of the resources in which something is found, once for each text."""
    return [resource["name"].split("/")[-1] for resource, text in snapshot.texts() if what.search(text)]
