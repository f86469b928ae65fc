"""Azurite, the storage emulator, as a process of the test run."""

import base64
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp.connector
import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceNotFoundError

from local.azurite import HOW_TO_GET_IT, AzuriteProcess, find_azurite
from shared.storage.account import StorageAccount


@pytest.fixture(scope="session")
def azurite() -> Iterator["Azurite"]:
    """Azurite over http with its data in memory, for all tests of the run."""
    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def azurite_with_oauth() -> Iterator["Azurite"]:
    """Azurite over https, which accepts any token that looks like one of Entra ID."""
    with Azurite(tls=Tls()) as running:
        yield running


@pytest.fixture
def trusted(azurite_with_oauth: "Azurite", monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process trust the authority of `azurite_with_oauth`.

    aiohttp reads `SSL_CERT_FILE` once, on import: that was before the test began.
    """
    assert azurite_with_oauth.tls
    context = azurite_with_oauth.tls.client_context()
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)


class Tls:
    """An authority of the test run, and its certificate for loopback."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._certificate = self._authority.issue_cert("localhost", "127.0.0.1")

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def options(self, folder: Path) -> list[str]:
        """Write the certificate into a folder, and return Azurite's options for it."""
        chain, key = folder / "cert.pem", folder / "key.pem"
        chain.write_bytes(b"".join(pem.bytes() for pem in self._certificate.cert_chain_pems))
        self._certificate.private_key_pem.write_to_path(key)
        return ["--cert", str(chain), "--key", str(key), "--oauth", "basic"]


class Azurite(AzuriteProcess):
    """Azurite for a test, with `keep` with data that outlive a restart.

    Without Azurite the test is skipped; it fails if `CI` says that all tests have to run.
    """

    def __init__(self, *, keep: bool = False, tls: Tls | None = None) -> None:
        program = find_azurite()
        if program is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(HOW_TO_GET_IT)
        super().__init__(program)
        self.tls = tls
        if keep:
            self.options = [f"--location={self.folder}"]
        if tls:
            self.options += tls.options(self.folder)

    def account_for(self, credential: AsyncTokenCredential) -> StorageAccount:
        """The way here with an identity."""
        return StorageAccount(
            table_endpoint=self.endpoint("table"),
            queue_endpoint=self.endpoint("queue"),
            credential=credential,
            create_missing=True,
        )


async def count_messages(account: StorageAccount, name: str) -> int:
    """Count the messages in a queue, hidden ones included (Azurite is exact); a missing queue has none."""
    async with account.queue_client(name, deadline=30) as client:
        try:
            return int((await client.get_queue_properties()).approximate_message_count or 0)
        except ResourceNotFoundError:
            return 0


@dataclass
class StubCredential:
    """An async credential with an unsigned token, valid for an hour; records the requested scopes."""

    scopes: list[str] = field(default_factory=list)

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        self.scopes.extend(scopes)
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tests/"}
        return AccessToken(_unsigned({**claims, "iat": now, "nbf": now - 60, "exp": now + 3600}), now + 3600)

    async def close(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _unsigned(claims: Mapping[str, object]) -> str:
    def part(content: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."
