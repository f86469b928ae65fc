"""The storage account: what opening it costs, and which servers it trusts."""

from contextlib import aclosing

import pytest

from shared.errors import StorageUnavailable
from shared.storage.account import StorageAccount
from shared.storage.port import Table
from tests.support.azurite import Azurite, StubCredential


def test_queues_of_an_account_in_azure_are_where_its_tables_are() -> None:
    """The deployment creates tables and queues there."""
    credential = StubCredential()

    assert StorageAccount.at("https://anaccount.table.core.windows.net", credential) == StorageAccount(
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
    async with aclosing(account.open_tables()) as store, aclosing(account.open_queue("q")) as queue:
        for call in (store.get(Table.SESSIONS, "a"), queue.send("a", 0)):
            with pytest.raises(StorageUnavailable, match="ClientConnectorCertificateError"):
                await call


class Owned(StubCredential):
    """A credential that only its owner may close."""

    async def close(self) -> None:
        raise AssertionError("the store closed its owner's credential")


async def test_one_token_serves_many_calls(azurite_with_oauth: Azurite, trusted: None, prefix: str) -> None:
    """Tables and queue ask the credential once each, for the storage service, and leave closing it to its owner."""
    credential = Owned()
    account = azurite_with_oauth.account_for(credential)
    async with (
        aclosing(account.open_tables(prefix=prefix)) as store,
        aclosing(account.open_queue(prefix)) as queue,
    ):
        for table in Table:
            await store.get(table, "a")
            await queue.send("a", 0)

    assert credential.scopes == ["https://storage.azure.com/.default"] * 2
