"""Opens the entity store in Azure Table Storage; the SDK is imported when that happens, and not before."""

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.clock import system_clock
from shared.storage.port import SearchableStore
from shared.storage.store_time import StoreTime

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


@dataclass(frozen=True, slots=True)
class TableAccount:
    """A storage account that lets the app in by its identity.

    `endpoint` is `https://ACCOUNT.table.core.windows.net`. The identity needs the role Storage Table Data
    Contributor. `credential` stays the caller's: the store does not close it.
    """

    endpoint: str
    credential: "AsyncTokenCredential" = field(repr=False)


def open_table_store(
    account: TableAccount | str,
    *,
    prefix: str = "",
    create_tables: bool = False,
    deadline: float = 2.0,
    store_time: StoreTime | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> SearchableStore:
    """Make the store of one process; nothing is sent yet, and no event loop is needed.

    `account` may be a connection string (Azurite). Table names start with `prefix` (letters and digits, a
    letter first). `create_tables` makes a table where it is missing: for local runs, in Azure they are
    provisioned. `deadline` is what one request may take, in seconds. `store_time` learns from each answer.
    `ssl_context` is for servers that the system's authorities do not vouch for. Raises `ValueError` for an
    account or a prefix that cannot be.
    """
    from shared.storage.tables.client import make_service
    from shared.storage.tables.store import AzureTableStore

    service = make_service(account, deadline, store_time or StoreTime(system_clock), ssl_context)
    return AzureTableStore(service, prefix=prefix, create_tables=create_tables, deadline=deadline)
