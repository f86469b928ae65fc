"""The storage account: what opening it costs, and which servers it trusts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StorageUnavailable
from shared.storage.account import StorageAccount
from shared.storage.port import Table
from tests.support.azurite import Azurite, StubCredential

ROOT = Path(__file__).parents[3]
CHECK = """
import asyncio, sys
from shared.storage.account import StorageAccount
from tests.support.azurite import StubCredential

async def check() -> None:
    tables, queues, name = sys.argv[1:]
    account = StorageAccount(
        table_endpoint=tables, queue_endpoint=queues, credential=StubCredential(), create_missing=True
    )
    for opened in (account.open_tables(prefix=name), account.open_queue(name)):
        await opened.check()
        await opened.aclose()

asyncio.run(check())
"""


def python(*arguments: str, **environment: str) -> str:
    """Run a fresh interpreter, and return its output."""
    command = [sys.executable, "-W", "error", "-c", *arguments]
    ended = subprocess.run(  # noqa: S603 - the interpreter that runs this test.
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    return ended.stdout


def test_import_loads_no_sdk() -> None:
    """Neither the Azure SDK nor its transport is loaded until an account is opened."""
    modules = (
        "shared.storage.account, shared.storage.memory, shared.queues.azure_queue, shared.events.event_grid"
    )
    code = f"import sys, {modules}; print([name for name in sys.modules if name.startswith(('azure', 'aiohttp'))])"

    assert python(code).strip() == "[]"


def test_account_in_azure_is_reached_by_its_name() -> None:
    """The deployment creates tables and queues there."""
    credential = StubCredential()

    assert StorageAccount.named("anaccount", credential) == StorageAccount(
        table_endpoint="https://anaccount.table.core.windows.net",
        queue_endpoint="https://anaccount.queue.core.windows.net",
        credential=credential,
        create_missing=False,
    )


@pytest.mark.parametrize("text", ["", "AccountName=secret", "AccountKey=c2VjcmV0", "secret"])
def test_invalid_connection_string_is_refused_without_being_shown(text: str) -> None:
    """A wrong setting ends the start, and neither the message nor a logged account contains its value."""
    account = StorageAccount.local(text)

    for opening in (account.open_tables, lambda: account.open_queue("q")):
        with pytest.raises(ValueError, match=r"(?i)connection string|authenticate") as raised:
            opening()
        assert "secret" not in str(raised.value).lower()
    assert "secret" not in repr(account)


def test_credential_over_plain_http_is_refused() -> None:
    """A token is not sent where others on the way can read it."""
    url = "http://127.0.0.1:10002/tests"
    account = StorageAccount(table_endpoint=url, queue_endpoint=url, credential=StubCredential())

    for opening in (account.open_tables, lambda: account.open_queue("q")):
        with pytest.raises(ValueError, match="HTTPS"):
            opening()


async def test_server_of_an_unknown_authority_is_sent_nothing(azurite_with_oauth: Azurite) -> None:
    """A token goes to the service alone, not to any server under its address."""
    account = azurite_with_oauth.account_for(StubCredential())
    store, queue = account.open_tables(), account.open_queue("q")

    with pytest.raises(StorageUnavailable, match="failed"):
        await store.get(Table.SESSIONS, "a")
    with pytest.raises(StorageUnavailable, match="the queue failed: ServiceRequestError"):
        await queue.send("a", 0)

    await store.aclose()
    await queue.aclose()


def test_process_trusts_the_authorities_of_its_environment(
    azurite_with_oauth: Azurite, prefix: str, tmp_path: Path
) -> None:
    """An app as it runs in Azure can be pointed at Azurite with `SSL_CERT_FILE` alone."""
    assert azurite_with_oauth.tls
    authority = tmp_path / "authority.pem"
    azurite_with_oauth.tls.write_authority(authority)
    endpoints = [azurite_with_oauth.endpoint(service) for service in ("table", "queue")]

    python(CHECK, *endpoints, prefix, SSL_CERT_FILE=str(authority))


class Owned(StubCredential):
    """A credential that only its owner may close."""

    async def close(self) -> None:
        raise AssertionError("the store closed its owner's credential")


async def test_one_token_serves_many_calls(azurite_with_oauth: Azurite, trusted: None, prefix: str) -> None:
    """Tables and queue ask the credential once each, for the storage service, and leave closing it to its owner."""
    credential = Owned()
    account = azurite_with_oauth.account_for(credential)
    store, queue = account.open_tables(prefix=prefix), account.open_queue(prefix)
    for table in Table:
        await store.get(table, "a")
        await queue.send("a", 0)
    await store.aclose()
    await queue.aclose()

    assert credential.scopes == ["https://storage.azure.com/.default"] * 2
