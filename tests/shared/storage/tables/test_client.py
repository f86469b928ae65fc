"""Whom the store trusts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StorageUnavailable
from shared.storage.azure_table import TableAccount, open_table_store
from shared.storage.port import Table
from tests.support.azurite import Azurite, StubCredential

ROOT = Path(__file__).parents[4]
CHECK = """
import asyncio, sys
from shared.storage.azure_table import TableAccount, open_table_store
from tests.support.azurite import StubCredential

async def check() -> None:
    store = open_table_store(TableAccount(sys.argv[1], StubCredential()), prefix=sys.argv[2], create_tables=True)
    await store.check()
    await store.aclose()

asyncio.run(check())
"""


async def test_server_of_an_unknown_authority_is_sent_nothing(azurite_with_oauth: Azurite) -> None:
    """A token is given to the service alone, not to whoever answers under its address."""
    credential = StubCredential()
    store = open_table_store(TableAccount(azurite_with_oauth.endpoint("table"), credential))

    with pytest.raises(StorageUnavailable, match="failed"):
        await store.get(Table.SESSIONS, "a")

    await store.aclose()


def test_process_trusts_the_authorities_of_its_environment(
    azurite_with_oauth: Azurite, prefix: str, tmp_path: Path
) -> None:
    """An app as it runs in Azure can be pointed at Azurite with `SSL_CERT_FILE` alone."""
    assert azurite_with_oauth.tls
    azurite_with_oauth.tls.write_authority(tmp_path / "authority.pem")

    subprocess.run(  # noqa: S603 - the interpreter that runs this test.
        [sys.executable, "-W", "error", "-c", CHECK, azurite_with_oauth.endpoint("table"), prefix],
        cwd=ROOT,
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")},
        check=True,
    )


def test_credential_over_plain_http_is_refused() -> None:
    """A token is not sent where everybody on the way can read it."""
    with pytest.raises(ValueError, match="HTTPS"):
        open_table_store(TableAccount("http://127.0.0.1:10002/tests", StubCredential()))


async def test_one_token_serves_all_tables(azurite_with_oauth: Azurite, prefix: str) -> None:
    """The credential is asked once, for the storage service."""
    assert azurite_with_oauth.tls
    credential = StubCredential()
    store = open_table_store(
        TableAccount(azurite_with_oauth.endpoint("table"), credential),
        prefix=prefix,
        create_tables=True,
        ssl_context=azurite_with_oauth.tls.client_context(),
    )
    for table in Table:
        await store.get(table, "a")
    await store.aclose()

    assert credential.scopes == ["https://storage.azure.com/.default"]
