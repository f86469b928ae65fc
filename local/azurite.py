"""Azurite, the storage emulator, as a child process on free ports of loopback."""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from shared.storage.account import StorageAccount

HOW_TO_GET_IT: Final = "Azurite is not installed: run scripts/azurite.sh"

_INSTALLED: Final = Path(__file__).parents[1] / ".tools/node_modules/.bin/azurite"
_ACCOUNT: Final = "local"
_ACCOUNT_KEY: Final = base64.b64encode(b"a key for this machine alone").decode()
_SERVICES: Final = ("blob", "queue", "table")
# Reads until the other end of its input closes, which happens however this process ends.
_GUARD: Final = 'read -r _; kill -KILL "$1"; rm -rf "$2"'
_LISTENING: Final = re.compile(r"Azurite (\w+) service is successfully listening at (\w+)://[^:]+:(\d+)")


def find_azurite() -> str | None:
    """Return the program that scripts/azurite.sh installs, or one on the path, or None."""
    return str(_INSTALLED) if _INSTALLED.exists() else shutil.which("azurite")


class AzuriteProcess:
    """Azurite in a folder of its own, which is removed in the end. `options` are added to its command line."""

    def __init__(self, program: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="azurite-"))
        self.options = ["--inMemoryPersistence"]
        self.process: subprocess.Popen[str] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._program = program
        # A second start takes the same ports.
        self._addresses: Mapping[str, tuple[str, int]] = dict.fromkeys(_SERVICES, ("http", 0))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until each service listens."""
        ports = [f"--{name}Port={port}" for name, (_, port) in self._addresses.items()]
        options = [*ports, *self.options, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        self.process = subprocess.Popen(  # noqa: S603 - the program that was found.
            [self._program, *options],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C at the console reaches our own process alone, which then ends this one.
            start_new_session=True,
            text=True,
        )
        self._guard = _guard(self.process.pid, self.folder)
        self._addresses = _addresses_when_ready(self.process)

    def stop(self) -> None:
        """End it by its process id; nothing listens on its ports then."""
        if self._guard:
            # Before Azurite: its process id may belong to another program then.
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self.process:
            self.process.terminate()
            self.process.communicate()
            self.process = None

    def endpoint(self, service: str) -> str:
        """Return the URL of `blob`, `queue` or `table`."""
        scheme, port = self._addresses[service]
        return f"{scheme}://127.0.0.1:{port}/{_ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """The value for `AzureWebJobsStorage`."""
        endpoints = (f"{name.capitalize()}Endpoint={self.endpoint(name)}" for name in _SERVICES)
        return ";".join([f"AccountName={_ACCOUNT}", f"AccountKey={_ACCOUNT_KEY}", *endpoints])

    @property
    def account(self) -> StorageAccount:
        """The account with its key; tables and queues are created on first use."""
        return StorageAccount.local(self.connection_string)


@contextmanager
def running_azurite() -> Iterator[AzuriteProcess]:
    """Run Azurite for a command; ends the command with how to install it where it is missing."""
    program = find_azurite()
    if program is None:
        sys.exit(HOW_TO_GET_IT)
    with AzuriteProcess(program) as azurite:
        yield azurite


def _guard(process_id: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a shell that ends Azurite when this process is gone, also if it was killed (`kill -9`)."""
    return subprocess.Popen(  # noqa: S603 - a text of this file.
        ["sh", "-c", _GUARD, "sh", str(process_id), str(folder)],  # noqa: S607 - the shell of the path.
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _addresses_when_ready(process: subprocess.Popen[str]) -> dict[str, tuple[str, int]]:
    addresses: dict[str, tuple[str, int]] = {}
    seen: list[str] = []
    while len(addresses) < len(_SERVICES):
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("Azurite did not start: " + "".join(seen))
        seen.append(line)
        if found := _LISTENING.match(line):
            addresses[found[1].lower()] = found[2], int(found[3])
    return addresses
