"""A vault under a name of Azure's own and an identity endpoint, on loopback, reached as in production."""

import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import ResolveResult
from aiohttp.test_utils import TestServer

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
    async with aclosing(Connections(trusting, Resolver(look_up))) as opened:
        yield opened


@asynccontextmanager
async def serve(app: web.Application, certificate: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on loopback, at the port that is returned."""
    server = TestServer(app)
    await server.start_server(ssl=certificate, shutdown_timeout=0.1)
    yield server.port or 0
    await server.close()


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeIdentity]:
    """Serve an identity endpoint, and announce it in the environment as App Service does."""
    identity = FakeIdentity()
    async with serve(identity.app()) as port:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", identity.header)
        yield identity


@pytest.fixture
async def identity(endpoint: FakeIdentity, connections: Connections) -> AsyncIterator[ManagedIdentity]:
    async with open_identity(None, connections) as opened:
        yield opened


@pytest.fixture
async def vault(endpoint: FakeIdentity, authority: trustme.CA, names: Names) -> AsyncIterator[FakeVault]:
    """Serve a vault under a name of its own: the SDK keeps challenges by host while the process lives."""
    vault = FakeVault(endpoint, f"kv-test-{next(_NUMBERS)}.vault.azure.net")
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(vault.host).configure_cert(certificate)
    async with serve(vault.app(), certificate) as names[vault.host]:
        yield vault


@pytest.fixture
async def secrets(
    vault: FakeVault, identity: ManagedIdentity, connections: Connections
) -> AsyncIterator[KeyVaultSecrets]:
    async with aclosing(open_key_vault(vault.url, identity, connections)) as opened:
        yield opened
