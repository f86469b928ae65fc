"""What the tests of the operator's commands share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ops.shell import Shell
from tests.support.broker import Broker, running_broker


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell over an empty storage account in memory."""
    return Shell(tmp_path, capsys)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole search path for programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """A running broker on loopback."""
    async with running_broker() as running:
        yield running
