"""A vault under a name of Azure's own and an identity endpoint, on loopback, reached as in production."""

import itertools
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import ResolveResult

from shared.http import Connections
from shared.keys.identity import ManagedIdentity, open_identity
from shared.keys.key_vault import KeyVaultSecrets, open_key_vault
from shared.resolver import Resolver
from tests.shared.keys.fake_azure import FakeIdentity, FakeVault
from tests.support.time import FakeClock

_NUMBERS = itertools.count(1)

Names = dict[str, int]
"""The port on loopback for each host name."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def names() -> Names:
    return {}


@pytest.fixture
async def connections(authority: trustme.CA, names: Names) -> AsyncIterator[Connections]:
    """The app's connections, which trust the test's authority and resolve names to servers on loopback."""

    def look_up(host: str, port: int, family: int) -> list[ResolveResult]:
        if host not in names:
            raise OSError(None, "Name or service not known")
        address = {"hostname": host, "host": "127.0.0.1", "port": names[host]}
        return [ResolveResult(**address, family=family, proto=0, flags=0)]  # type: ignore[typeddict-item]

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    opened = Connections(trusting, Resolver(look_up))
    yield opened
    await opened.aclose()


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
async def identity(endpoint: FakeIdentity, connections: Connections) -> AsyncIterator[ManagedIdentity]:
    async with open_identity(None, connections) as opened:
        yield opened


@dataclass
class Served:
    """A vault that is served, and how to stop it."""

    vault: FakeVault
    url: str
    host: str
    runner: web.AppRunner


@pytest.fixture
async def served(endpoint: FakeIdentity, authority: trustme.CA, names: Names) -> AsyncIterator[Served]:
    """Serve a vault under a name of its own: the SDK keeps challenges by host while the process lives."""
    host = f"kv-test-{next(_NUMBERS)}.vault.azure.net"
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(certificate)
    vault = FakeVault(endpoint)
    runner, names[host] = await serve(vault.app(), certificate)
    yield Served(vault, f"https://{host}", host, runner)
    await runner.cleanup()


@pytest.fixture
def vault(served: Served) -> FakeVault:
    return served.vault


@pytest.fixture
async def secrets(
    served: Served, identity: ManagedIdentity, connections: Connections
) -> AsyncIterator[KeyVaultSecrets]:
    opened = open_key_vault(served.url, identity, connections)
    yield opened
    await opened.aclose()
