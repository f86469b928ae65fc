"""The order in which a region comes into being."""

from collections.abc import Mapping

from tests.infra.bicep_compiler import Compiled
from tests.infra.template_order import (
    app_waits_for,
    made_at_once,
    nested,
    roles_not_before_the_app,
    written_once,
)


def test_all_roles_are_assigned_before_the_app_is_made(templates: Mapping[str, Compiled]) -> None:
    """The app never starts, nor is a package published to it, without the roles that it needs."""
    assert roles_not_before_the_app(templates["region.bicep"].template) == []


def test_the_app_waits_for_its_secrets(templates: Mapping[str, Compiled]) -> None:
    """The key and the pepper are in the vault when the app first asks."""
    assert {"secrets", "storage"} <= app_waits_for(templates["region.bicep"].template)


def test_the_pepper_alone_is_written_once(templates: Mapping[str, Compiled]) -> None:
    """A redeployment keeps the pepper: with another one each device would be a new device, without its limits.

    A new key has to get there.
    """
    assert written_once(templates["modules/secrets.bicep"].template) == {"keyVault::idPepper"}


def test_private_endpoints_are_made_one_after_another(templates: Mapping[str, Compiled]) -> None:
    """Three of them are of one storage account, which takes one change of its connections at a time."""
    assert made_at_once(templates["modules/network.bicep"].template) == set()


def test_no_module_takes_from_another_region(templates: Mapping[str, Compiled]) -> None:
    """What a region's template refers to is in its own resource group."""
    for template in nested(templates["region.bicep"].template):
        assert "resourceGroup" not in str(template.get("resources")).replace("resourceGroup()", "")
