"""The storage emulator as a child process of a local run."""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.azurite import Azurite

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
OWNER = """
import sys
from local.azurite import AzuriteProcess, find_azurite
with AzuriteProcess(find_azurite()) as azurite:
    print(azurite.endpoint("table"), azurite.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended in order"])
def test_nothing_is_left_of_a_run_however_it_ends(azurite: Azurite, killed: bool) -> None:
    """After `kill -9` a guard ends Azurite, and removes its folder."""
    with subprocess.Popen(  # noqa: S603 - this Python.
        [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout
        assert owner.stdin
        url, folder = owner.stdout.readline().split()
        assert Path(folder).is_dir()
        port = urlsplit(url).port
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
            if killed:
                owner.kill()
            else:
                owner.stdin.close()
            # Ends when Azurite does, in order or with a reset.
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        # Azurite and the guard hold this pipe no longer.
        assert owner.stdout.read() == ""

    assert not Path(folder).exists()
