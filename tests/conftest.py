"""What all tests share: one Azurite and one Bicep compiler for the whole run."""

from tests.infra.bicep_compiler import bicep
from tests.support.azurite import azurite, azurite_with_oauth

__all__ = ["azurite", "azurite_with_oauth", "bicep"]
