"""Azurite, the storage emulator, as a child process on free ports of loopback."""

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
_LISTENING: Final = re.compile(r"Azurite (\w+) service is successfully listening at \w+://[^:]+:(\d+)")

TlsOptions = Callable[[Path], list[str]]
"""Writes the files for https into a folder, and returns Azurite's options for them."""


def find_azurite() -> str | None:
    """Return the program that scripts/azurite.sh installs, or one on the path, or None."""
    return str(_INSTALLED) if _INSTALLED.exists() else shutil.which("azurite")


class AzuriteProcess:
    """Azurite with its data in memory, or with `keep` in `folder`, which outlives a restart.

    `stopped` makes an outage (the ports stay the same), `hanging` a store that does not answer.
    """

    def __init__(self, program: str, *, keep: bool = False, tls_options: TlsOptions | None = None) -> None:
        self.program = program
        self._keep = keep
        self._tls_options = tls_options
        self.folder = Path(tempfile.mkdtemp(prefix="azurite-"))
        self._ports: Mapping[str, int] = dict.fromkeys(_SERVICES, 0)
        self._process: subprocess.Popen[str] | None = None

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
        self._process = subprocess.Popen(  # noqa: S603 - the program that was found.
            [self.program, *self._options()],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C at the console reaches our own process alone, which then ends this one.
            start_new_session=True,
            text=True,
        )
        self._ports = _ports_when_ready(self._process)

    def stop(self) -> None:
        """End it by its process id; nothing listens on its ports then."""
        if self._process:
            self._process.terminate()
            self._process.communicate()
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """End it, and start it again on the same ports."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Suspend the process: the system still accepts connections, and nothing answers."""
        if not self._process:
            raise RuntimeError("Azurite does not run")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def endpoint(self, service: str) -> str:
        """Return the URL of `blob`, `queue` or `table`."""
        scheme = "https" if self._tls_options else "http"
        return f"{scheme}://127.0.0.1:{self._ports[service]}/{_ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """The value for `AzureWebJobsStorage`."""
        endpoints = (f"{name.capitalize()}Endpoint={self.endpoint(name)}" for name in _SERVICES)
        return ";".join([f"AccountName={_ACCOUNT}", f"AccountKey={_ACCOUNT_KEY}", *endpoints])

    @property
    def account(self) -> StorageAccount:
        """The account with its key; tables and queues are created on first use."""
        return StorageAccount.local(self.connection_string)

    def _options(self) -> list[str]:
        ports = [part for name in _SERVICES for part in (f"--{name}Port", str(self._ports[name]))]
        data = ["--location", str(self.folder)] if self._keep else ["--inMemoryPersistence"]
        tls = self._tls_options(self.folder) if self._tls_options else []
        return [*ports, *data, *tls, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]


def _ports_when_ready(process: subprocess.Popen[str]) -> dict[str, int]:
    ports: dict[str, int] = {}
    seen: list[str] = []
    while len(ports) < len(_SERVICES):
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("Azurite did not start: " + "".join(seen))
        seen.append(line)
        if found := _LISTENING.match(line):
            ports[found[1].lower()] = int(found[2])
    return ports
