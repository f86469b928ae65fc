"""What all tests share: one Azurite for the whole run."""

from tests.support.azurite import azurite, azurite_with_oauth

__all__ = ["azurite", "azurite_with_oauth"]
