"""The entity store in Azure Table Storage."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any, Final, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient

from shared.azure_transport import headers_of, unavailable
from shared.errors import EntityChanged, EntityExists, KeyUnavailable, Outcome, StorageUnavailable
from shared.storage.port import (
    MAX_TOGETHER,
    Entity,
    Table,
    require_batch,
    require_key,
    require_read,
    require_storable,
)
from shared.storage.tables.rows import partition, place, to_entity, to_row, with_etag
from shared.text import LATEST

_Answer = TypeVar("_Answer")
_Operation = tuple[str, dict[str, Any], dict[str, Any]]

_WITHOUT_BODY: Final = {"response_preference": "return-no-content"}
# A query may run for five seconds before it answers with a page and a continuation token
# (https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination).
_PAGE_DEADLINES: Final = 5
# Keeps a page below the largest answer that is read.
_ROWS_IN_PAGE: Final = 500
_PROBE: Final = Entity("check", {"written": True}, LATEST)
_NOT_KEPT: Final = "the table service does not keep a row that is written: is the endpoint the right one?"

_TABLE_NOT_FOUND: Final = "TableNotFound"

_Meanings = dict[str, type[Outcome]]
"""What the service's error codes mean for one operation; others are failures.

https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes
"""

_EXISTS: Final[_Meanings] = {"EntityAlreadyExists": EntityExists}

_MISSING_OR_CHANGED: Final[_Meanings] = dict.fromkeys(
    ("ConditionNotMet", "EntityNotFound", "ResourceNotFound", "UpdateConditionNotSatisfied"), EntityChanged
)

_ADVICE: Final[dict[object, str]] = {
    _TABLE_NOT_FOUND: "the table is missing; the deployment creates it",
    401: "the app's credential was not accepted",
    403: (
        "the app's identity needs the role Storage Table Data Contributor on the storage account, "
        "and the account's network rules have to admit the app"
    ),
}


class AzureTableStore:
    """An `EntityStore` in Azure Table Storage or Azurite.

    Each call has `deadline` seconds, retries included; a page of a walk has five times that.

    A read is repeated once where the connection fails. A write is never sent twice, so that `EntityExists` and
    `EntityChanged` always mean another writer. After `StorageUnavailable` a write may be applied later: callers that
    depend on it read the row again before they write on.
    """

    def __init__(
        self, service: TableServiceClient, *, prefix: str, create_tables: bool, deadline: float
    ) -> None:
        self._service = service
        self._tables = {table: service.get_table_client(prefix + table.value) for table in Table}
        self._create_tables = create_tables
        self._deadline = deadline
        self._read_options = _read_options(deadline)

    async def get(self, table: Table, key: str) -> Entity | None:
        """Read one entity."""
        require_key(key)

        async def read(client: TableClient) -> Entity:
            return to_entity(await client.get_entity(partition(table, key), key, **self._read_options))

        try:
            return await self._call(table, read, _MISSING_OR_CHANGED)
        except EntityChanged:
            return None

    async def insert(self, table: Table, entity: Entity) -> Entity:
        """Store a new entity."""
        require_storable(entity)
        row = to_row(table, entity)
        written = await self._call(table, lambda client: client.create_entity(row, **_WITHOUT_BODY), _EXISTS)
        return with_etag(entity, written)

    async def replace(self, table: Table, entity: Entity) -> Entity:
        """Replace the entity that was read with this etag."""
        require_read(entity.etag)
        require_storable(entity)
        row, options = to_row(table, entity), _replacing(entity.etag)
        written = await self._call(
            table, lambda client: client.update_entity(row, **options), _MISSING_OR_CHANGED
        )
        return with_etag(entity, written)

    async def write_together(self, table: Table, entities: Sequence[Entity]) -> list[Entity]:
        """Insert or replace all of them in one transaction."""
        require_batch(entities)
        try:
            if len(entities) < 2:
                # A transaction costs the client several times the work of a plain write (docs/performance.md).
                return [await (self.replace if one.etag else self.insert)(table, one) for one in entities]
            written = await self._transact(table, [_write(table, entity) for entity in entities])
        except (EntityExists, EntityChanged) as lost:
            # The SDK's error of a transaction has the place of the operation that failed first.
            raise EntityChanged(getattr(lost.__cause__, "index", 0)) from lost
        return [with_etag(entity, metadata) for entity, metadata in zip(entities, written, strict=True)]

    async def delete(self, table: Table, key: str, etag: str | None = None) -> None:
        """Delete an entity if it exists."""
        require_key(key)
        condition = {} if etag is None else _unchanged(require_read(etag))
        await self._call(
            table,
            lambda client: client.delete_entity(partition(table, key), key, **condition),
            _MISSING_OR_CHANGED,
        )

    async def delete_together(self, table: Table, entities: Sequence[Entity]) -> int:
        """Delete the entities that are still as they were read, up to 100 of one partition in a transaction."""
        return sum([await self._delete_batch(table, batch) for batch in _batches(table, entities)])

    async def expired(self, table: Table, before: int, start: float = 0.0) -> AsyncIterator[Entity]:
        """Go through the entities that expired."""
        column, pivot = place(table, start)
        for side in ("ge", "lt"):
            condition = f"{column} {side} '{pivot}' and expires_at lt {before}L"
            async for entity in self._query(table, condition):
                yield entity

    def between(self, table: Table, name: str, low: int, high: int) -> AsyncIterator[Entity]:
        """Go through the entities with an integer value in a range."""
        return self._query(table, f"{name} ge {low}L and {name} lt {high}L")

    async def check(self) -> None:
        """Write the same row into each table again each time, and read it back."""
        await asyncio.gather(*map(self._check, Table))

    async def _check(self, table: Table) -> None:
        row = to_row(table, _PROBE)

        async def write_and_read(client: TableClient) -> Entity:
            # Neither an insert nor a replacement, because two instances may check at the same time.
            await client.upsert_entity(row, UpdateMode.REPLACE)
            return to_entity(await client.get_entity(row["PartitionKey"], _PROBE.key, **self._read_options))

        try:
            found = await self._call(table, write_and_read, _MISSING_OR_CHANGED)
        except EntityChanged as answer:
            raise StorageUnavailable(_NOT_KEPT) from answer
        if found != _PROBE:
            raise StorageUnavailable(_NOT_KEPT)

    async def aclose(self) -> None:
        """Close the connections, but not the credential."""
        await self._service.close()

    async def _delete_batch(self, table: Table, batch: Sequence[Entity]) -> int:
        try:
            return len(await self._transact(table, [_delete(table, entity) for entity in batch]))
        except EntityChanged:
            if len(batch) == 1:
                return 0
            # One row changed, so none was deleted: halving finds it in a few more transactions.
            middle = len(batch) // 2
            halves = (batch[:middle], batch[middle:])
            return sum([await self._delete_batch(table, half) for half in halves])

    async def _transact(self, table: Table, operations: list[_Operation]) -> list[Mapping[str, Any]]:
        async def send(client: TableClient) -> list[Mapping[str, Any]]:
            written = await client.submit_transaction(operations)
            if len(written) != len(operations):
                raise ValueError("the answer has another number of parts than the request")
            return written

        return await self._call(table, send, _EXISTS | _MISSING_OR_CHANGED)

    async def _query(self, table: Table, condition: str) -> AsyncIterator[Entity]:
        deadline = _PAGE_DEADLINES * self._deadline
        query = self._tables[table].query_entities(
            condition, results_per_page=_ROWS_IN_PAGE, **_read_options(deadline)
        )
        pages = query.by_page()

        async def read(_: TableClient) -> list[Entity] | None:
            page = await anext(pages, None)
            return None if page is None else [to_entity(row) async for row in page]

        # A page may be empty and not be the last one.
        while (page := await self._call(table, read, {}, deadline)) is not None:
            for entity in page:
                yield entity

    async def _call(
        self,
        table: Table,
        send: Callable[[TableClient], Awaitable[_Answer]],
        meanings: _Meanings,
        deadline: float | None = None,
    ) -> _Answer:
        client = self._tables[table]
        with _translated(meanings):
            async with asyncio.timeout(deadline or self._deadline):
                try:
                    return await send(client)
                except HttpResponseError as error:
                    if not self._create_tables or _error_code(error) != _TABLE_NOT_FOUND:
                        raise
                with suppress(ResourceExistsError):
                    await client.create_table()
                return await send(client)


def _read_options(deadline: float) -> dict[str, Any]:
    return {
        "retry_total": 1,
        "retry_connect": 1,
        "retry_read": 1,
        # An error response is not retried: the service asks for more patience than a request has.
        "retry_status": 0,
        "read_timeout": deadline,
    }


def _unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _replacing(etag: str) -> dict[str, Any]:
    return {"mode": UpdateMode.REPLACE, **_unchanged(etag)}


def _write(table: Table, entity: Entity) -> _Operation:
    row = to_row(table, entity)
    if entity.etag:
        return "update", row, _replacing(entity.etag)
    return "create", row, _WITHOUT_BODY


def _batches(table: Table, entities: Sequence[Entity]) -> Iterator[list[Entity]]:
    def partition_of(entity: Entity) -> str:
        return partition(table, entity.key)

    # An entity without an etag is not in the store, and a transaction takes each row once.
    stored = {entity.key: entity for entity in entities if entity.etag}
    for _, rows in groupby(sorted(stored.values(), key=partition_of), partition_of):
        together = list(rows)
        for start in range(0, len(together), MAX_TOGETHER):
            yield together[start : start + MAX_TOGETHER]


def _delete(table: Table, entity: Entity) -> _Operation:
    row = {"PartitionKey": partition(table, entity.key), "RowKey": entity.key}
    return "delete", row, _unchanged(entity.etag)


@contextmanager
def _translated(meanings: _Meanings) -> Iterator[None]:
    """Raise one of the outcomes in `meanings`, or `StorageUnavailable`, for the SDK's errors."""
    try:
        yield
    except Exception as error:
        fault = error
        known = HttpResponseError | KeyUnavailable | TimeoutError
        if not isinstance(error, known) and isinstance(error.__context__, HttpResponseError):
            # The SDK failed to parse this refusal.
            fault = error.__context__
        code = _error_code(fault) if isinstance(fault, HttpResponseError) else ""
        if code in meanings:
            raise meanings[code]() from error
        raise unavailable(StorageUnavailable, "the table service", fault, _ADVICE, code=code) from error


def _error_code(error: HttpResponseError) -> str:
    """Return the service's error code, or an empty string; the SDK decodes most of them, not all."""
    code = (
        getattr(error, "error_code", None) or headers_of(error).get("x-ms-error-code") or _code_in_body(error)
    )
    return str(getattr(code, "value", code))


def _code_in_body(error: HttpResponseError) -> str:
    try:
        return str(json.loads(error.response.text())["odata.error"]["code"]) if error.response else ""
    except (LookupError, TypeError, ValueError):
        return ""
