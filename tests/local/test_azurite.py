"""Azurite as a process."""

import httpx
import pytest

from local.azurite import AzuriteProcess
from tests.support.azurite import Azurite


def test_azurite_ends_with_its_block(azurite: Azurite) -> None:
    """A stopped emulator does not listen."""
    with AzuriteProcess(azurite.program) as own:
        url = own.endpoint("table")
        assert httpx.get(url, trust_env=False).status_code == 400

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
