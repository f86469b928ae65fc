"""A vault under a name of Azure's own and an identity endpoint, on loopback, and the SDKs pointed at them."""

import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp.connector
import aiohttp.resolver
import pytest
import trustme
from aiohttp import web

from shared.keys.identity import ManagedIdentity, open_identity
from shared.keys.key_vault import KeyVaultSecrets, open_key_vault
from tests.shared.keys.fake_azure import FakeIdentity, FakeVault
from tests.support.time import FakeClock

_NUMBERS = itertools.count(1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process trust the test's authority the way an operator would: by `SSL_CERT_FILE`."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    # aiohttp reads the variable once, when it is imported: here that was before the test began.
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())


Names = dict[tuple[str, int], tuple[str, int]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Resolve names of Azure to servers on loopback: neither our code nor the SDK knows that it is tested."""
    table: Names = {}
    resolve: Callable[..., Any] = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if host.endswith(".azure.net") and (host, port) not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(*table.get((host, port), (host, port)), *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    # Where aiodns is installed, aiohttp does not ask the system.
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", aiohttp.resolver.ThreadedResolver)
    return table


async def serve(app: web.Application, certificate: ssl.SSLContext | None = None) -> tuple[web.AppRunner, int]:
    """Serve on loopback, at a port that is free."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate)
    await site.start()
    return runner, runner.addresses[0][1]


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeIdentity]:
    """Serve an identity endpoint, and announce it in the environment as App Service does."""
    identity = FakeIdentity()
    runner, port = await serve(identity.app())
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", identity.header)
    yield identity
    await runner.cleanup()


@pytest.fixture
async def identity(endpoint: FakeIdentity) -> AsyncIterator[ManagedIdentity]:
    async with open_identity() as opened:
        yield opened


@dataclass
class Served:
    """A vault that is served, and how to stop it."""

    vault: FakeVault
    url: str
    host: str
    runner: web.AppRunner


@pytest.fixture
async def served(
    endpoint: FakeIdentity, authority: trustme.CA, names: Names, trusted: None
) -> AsyncIterator[Served]:
    """Serve a vault under a name of its own: the SDK keeps challenges by host while the process lives."""
    host = f"kv-test-{next(_NUMBERS)}.vault.azure.net"
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(certificate)
    vault = FakeVault(endpoint)
    runner, port = await serve(vault.app(), certificate)
    names[host, 443] = ("127.0.0.1", port)
    yield Served(vault, f"https://{host}", host, runner)
    await runner.cleanup()


@pytest.fixture
def vault(served: Served) -> FakeVault:
    return served.vault


@pytest.fixture
async def secrets(served: Served, identity: ManagedIdentity) -> AsyncIterator[KeyVaultSecrets]:
    opened = open_key_vault(served.url, identity)
    yield opened
    await opened.aclose()
