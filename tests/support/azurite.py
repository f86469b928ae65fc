"""Azurite, the storage emulator, as a process of the test run."""

import base64
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest
import trustme
from azure.core.credentials import AccessToken

_INSTALLED: Final = Path(__file__).parents[2] / ".tools/node_modules/.bin/azurite"
_ACCOUNT: Final = "tests"
_ACCOUNT_KEY: Final = base64.b64encode(b"a key for tests alone").decode()
_SERVICES: Final = ("blob", "queue", "table")
_LISTENING: Final = re.compile(r"Azurite (\w+) service is successfully listening at \w+://[^:]+:(\d+)")


@pytest.fixture(scope="session")
def azurite() -> Iterator["Azurite"]:
    """Azurite over http, with its data in memory, for all tests of the run."""
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def azurite_with_oauth() -> Iterator["Azurite"]:
    """Azurite over https, which lets in who has a token that looks like one of Entra ID."""
    with Azurite(tls=Tls()) as running:
        yield running


def find_azurite(installed: Path, environ: Mapping[str, str]) -> str:
    """Answer the program; where there is none, skip the test, or fail it where `CI` says that all has to run."""
    found = str(installed) if installed.exists() else shutil.which("azurite", path=environ["PATH"])
    if not found:
        (pytest.fail if environ.get("CI") == "true" else pytest.skip)(
            "Azurite is not installed: run scripts/azurite.sh"
        )
    return found


class Tls:
    """An authority of the test run, and a certificate of it for loopback."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._certificate = self._authority.issue_cert("localhost", "127.0.0.1")

    def client_context(self) -> ssl.SSLContext:
        """Make a context that trusts this authority alone."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def write_authority(self, path: Path) -> None:
        """Write the authority as a file for `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE` of a child process."""
        self._authority.cert_pem.write_to_path(path)

    def options(self, folder: Path) -> list[str]:
        """Write the certificate into a folder, and answer Azurite's options for it."""
        chain, key = folder / "cert.pem", folder / "key.pem"
        chain.write_bytes(b"".join(pem.bytes() for pem in self._certificate.cert_chain_pems))
        self._certificate.private_key_pem.write_to_path(key)
        return ["--cert", str(chain), "--key", str(key), "--oauth", "basic"]


class Azurite:
    """Azurite on free ports of loopback, kept over a restart; skips the test where it is not installed.

    With `keep` its data outlives a restart. `stop` and `start` make an outage, `hanging` a store that does not answer.
    """

    def __init__(self, *, keep: bool = False, tls: Tls | None = None) -> None:
        self.tls = tls
        self._program = find_azurite(_INSTALLED, os.environ)
        self._keep = keep
        self._folder = Path(tempfile.mkdtemp(prefix="azurite-"))
        self._ports: Mapping[str, int] = dict.fromkeys(_SERVICES, 0)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it and wait until each service listens."""
        self._process = subprocess.Popen(  # noqa: S603 - the program is a path of this repository.
            [self._program, *self._options()],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_ACCOUNT_KEY}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
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
    def hanging(self) -> Iterator[None]:
        """Stop the process in its tracks: connections are still accepted (by the system), nothing is answered."""
        if not self._process:
            raise RuntimeError("Azurite does not run")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def endpoint(self, service: str) -> str:
        """Answer the URL of `blob`, `queue` or `table`."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._ports[service]}/{_ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What `AzureWebJobsStorage` would hold."""
        endpoints = (f"{name.capitalize()}Endpoint={self.endpoint(name)}" for name in _SERVICES)
        return ";".join([f"AccountName={_ACCOUNT}", f"AccountKey={_ACCOUNT_KEY}", *endpoints])

    def _options(self) -> list[str]:
        ports = [part for name in _SERVICES for part in (f"--{name}Port", str(self._ports[name]))]
        data = ["--location", str(self._folder)] if self._keep else ["--inMemoryPersistence"]
        tls = self.tls.options(self._folder) if self.tls else []
        return [*ports, *data, *tls, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]


@dataclass
class StubCredential:
    """An async credential with an unsigned token, good for an hour; counts what it was asked for."""

    scopes: list[str] = field(default_factory=list)

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        """Answer a token for the storage service."""
        self.scopes.extend(scopes)
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tests/"}
        return AccessToken(_unsigned({**claims, "iat": now, "nbf": now - 60, "exp": now + 3600}), now + 3600)

    async def close(self) -> None:
        """Hold nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


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


def _unsigned(claims: Mapping[str, object]) -> str:
    def part(content: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."
