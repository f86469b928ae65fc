"""The deadlines of production, in virtual time: each ends what is silent, and names it."""

import asyncio
import re
from contextlib import nullcontext
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets.aio import SecretClient

from shared.errors import Failed
from shared.events.event_grid import open_topic
from shared.keys import identity, key_vault
from shared.keys.cache import CachedSecret
from shared.keys.credentials import face_tokens
from shared.keys.identity import ManagedIdentity
from shared.keys.key_vault import KeyVaultSecrets
from shared.storage.account import StorageAccount
from shared.storage.port import Table
from tests.support.time import in_virtual_time, virtual_clock

SILENT = 3_600.0
IDENTITY = "the managed identity endpoint did not answer in time"
VAULT = "Key Vault did not answer in time; secret face-key, vault host kv.vault.azure.net"


class SlowCredential:
    """The SDK's credential over an endpoint that answers after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        return AccessToken("a-token", 4_102_444_800)

    async def close(self) -> None:
        """Do nothing."""


class SlowClient(SecretClient):
    """The SDK's client of a vault that answers after some seconds; it has asked for a token before."""

    def __init__(self, credential: ManagedIdentity, seconds: float) -> None:
        super().__init__("https://kv.vault.azure.net", credential)
        self.own, self.seconds = credential, seconds

    async def get_secret(self, name: str, version: str | None = None, **options: object) -> Any:  # noqa: ANN401
        await self.own.get_token("https://vault.azure.net/.default")
        await asyncio.sleep(self.seconds)
        return type("Fetched", (), {"value": "a-key"})


def identity_after(seconds: float) -> ManagedIdentity:
    credential: Any = SlowCredential(seconds)
    return ManagedIdentity(credential)


@pytest.mark.parametrize(
    ("token_after", "secret_after", "told", "after"),
    [
        (SILENT, 0.0, f"no token for Key Vault: {IDENTITY}; secret face-key", 1.5),
        (0.0, SILENT, VAULT, 3.0),
        (1.4, SILENT, VAULT, 3.0),
        (1.4, 1.5, None, 2.9),
    ],
)
@in_virtual_time
async def test_read_of_a_secret_names_what_is_silent(
    token_after: float, secret_after: float, told: str | None, after: float
) -> None:
    """The identity answers within the vault's deadline, or is what the operator is pointed at."""
    own = identity_after(token_after)
    secrets = KeyVaultSecrets(SlowClient(own, secret_after), deadline=key_vault.DEADLINE_SECONDS)
    cache = CachedSecret(lambda: secrets.read("face-key"), name="face-key", clock=virtual_clock)
    with nullcontext() if told is None else pytest.raises(Failed, match=re.escape(told)):
        assert (await cache.get()).reveal() == "a-key"
    assert asyncio.get_running_loop().time() == pytest.approx(after)
    await secrets.aclose()
    await own.close()


@pytest.mark.parametrize(
    ("dependency", "told"),
    [
        ("table", f"no token for the table service: {IDENTITY}"),
        ("queue", f"no token for the queue service: {IDENTITY}"),
        ("topic", f"no token for Event Grid: {IDENTITY}"),
        ("face", IDENTITY),
    ],
)
@in_virtual_time
async def test_silent_identity_is_named_by_every_dependency(dependency: str, told: str) -> None:
    """It gives up before the call that needs its token does: nobody is told that the store is down."""
    own = identity_after(SILENT)
    account = StorageAccount(
        table_endpoint="https://a.example", queue_endpoint="https://a.example", credential=own
    )
    tables, queue = account.open_tables(), account.open_queue("q")
    topic = open_topic("https://a.example/api/events", own)
    calls = {
        "table": lambda: tables.get(Table.SESSIONS, "a"),
        "queue": queue.check,
        "topic": lambda: topic.publish({"specversion": "1.0", "id": "1", "source": "/", "type": "a"}),
        "face": face_tokens(own, virtual_clock, "a-scope").get,
    }
    with pytest.raises(Failed) as failed:
        await calls[dependency]()

    assert failed.value.detail == told
    assert asyncio.get_running_loop().time() == pytest.approx(1.5)
    for opened in (tables, queue, topic):
        await opened.aclose()
    await own.close()


@in_virtual_time
async def test_request_for_a_token_goes_on_for_its_patience() -> None:
    """An endpoint that takes ten seconds fails its first callers, and serves the next ones with the same call."""
    credential: Any = SlowCredential(10.0)
    own = ManagedIdentity(credential)
    for _ in range(6):
        with pytest.raises(Failed):
            await own.get_token("a")
    assert (await own.get_token("a")).token == "a-token"
    assert asyncio.get_running_loop().time() == pytest.approx(10.0)
    assert credential.calls == 1

    credential.seconds = SILENT
    with pytest.raises(Failed):
        await own.get_token("a")
    await asyncio.sleep(identity.PATIENCE_SECONDS)
    with pytest.raises(Failed):
        await own.get_token("a")
    assert credential.calls == 3, "the silent call was given up"
    await own.close()
