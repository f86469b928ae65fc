"""The Table Storage adapter: requests, unusual answers, and outages of the service."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from shared.errors import EntityChanged, KeyUnavailable, StorageUnavailable
from shared.storage.account import StorageAccount
from shared.storage.port import Entity, EntityStore, Table
from shared.storage.tables.rows import partition
from tests.shared.storage.raw_server import HANG, RESET, RawServer, answer, refusal
from tests.support.azurite import Azurite, StubCredential

Operation = Callable[[EntityStore], Awaitable[object]]

NEW = Entity("a", {"number": 1}, 1)
READ = Entity("a", {"number": 1}, 1, 'W/"an etag"')
NO_ROW = refusal(404, "ResourceNotFound")
A_ROW = answer(
    200,
    json.dumps(
        {
            "odata.etag": 'W/"an etag"',
            "PartitionKey": "ca",
            "RowKey": "a",
            "expires_at@odata.type": "Edm.Int64",
            "expires_at": "1",
        }
    ),
)


async def go_through_expired(store: EntityStore) -> list[Entity]:
    return [entity async for entity in store.expired(Table.SESSIONS, 1)]


READS: dict[str, Operation] = {
    "get": lambda store: store.get(Table.SESSIONS, "a"),
    "expired": go_through_expired,
    "check": lambda store: store.check(),
}
WRITES: dict[str, Operation] = {
    "insert": lambda store: store.insert(Table.SESSIONS, NEW),
    "replace": lambda store: store.replace(Table.SESSIONS, READ),
    "write-one": lambda store: store.write_together(Table.THROTTLE, [NEW]),
    "write-together": lambda store: store.write_together(Table.THROTTLE, [READ, Entity("b", {}, 1)]),
    "delete": lambda store: store.delete(Table.SESSIONS, "a"),
    "delete-together": lambda store: store.delete_together(Table.SESSIONS, [READ]),
}
each_read = pytest.mark.parametrize("operation", READS.values(), ids=READS)
each_write = pytest.mark.parametrize("operation", WRITES.values(), ids=WRITES)
each_operation = pytest.mark.parametrize("operation", (READS | WRITES).values(), ids=READS | WRITES)


@asynccontextmanager
async def store_at(
    server: RawServer, *, create_missing: bool = False, deadline: float = 2.0
) -> AsyncIterator[EntityStore]:
    account = StorageAccount(connection_string=server.connection_string, create_missing=create_missing)
    store = account.open_tables(deadline=deadline)
    try:
        yield store
    finally:
        await store.aclose()


@each_operation
async def test_busy_service_is_unavailable_for_as_long_as_it_says(operation: Operation) -> None:
    """A request with a 503 is not repeated: the caller learns when to come back."""
    async with (
        RawServer([refusal(503, "ServerBusy", {"Retry-After": "7"})]) as server,
        store_at(server) as store,
    ):
        with pytest.raises(StorageUnavailable) as raised:
            await operation(store)

    assert raised.value.retry_after == 7
    assert "503 ServerBusy" in raised.value.detail
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 1),
        ("86400", 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
        ("-5", 1),
        ("1.5", 1),
        ("٣", 1),
        (None, 1),
    ],
)
async def test_unusable_retry_after_becomes_a_second(header: str | None, seconds: int) -> None:
    """A number of seconds is kept between 1 and 60; any other text is ignored."""
    headers = {"Retry-After": header} if header else {}
    async with RawServer([refusal(503, "ServerBusy", headers)]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable) as raised:
            await store.get(Table.SESSIONS, "a")

    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "code", "detail"),
    [
        pytest.param(403, "AuthorizationPermissionMismatch", "Storage Table Data Contributor", id="no-role"),
        pytest.param(403, "AuthorizationFailure", "network rules", id="firewall"),
        pytest.param(401, "InvalidAuthenticationInfo", "credential was not accepted", id="wrong-token"),
        pytest.param(409, "TableBeingDeleted", "409 TableBeingDeleted", id="table-going"),
        pytest.param(412, "", "412", id="condition-without-code"),
        pytest.param(429, "TooManyRequests", "429", id="too-many"),
        pytest.param(500, "InternalError", "500", id="internal"),
        pytest.param(400, "PropertyNameInvalid", "400 PropertyNameInvalid", id="our-mistake"),
        pytest.param(413, "RequestBodyTooLarge", "413 RequestBodyTooLarge", id="too-large"),
    ],
)
@each_operation
async def test_refusal_tells_the_operator_what_is_wrong(
    operation: Operation, status: int, code: str, detail: str
) -> None:
    """Any error that is not a lost race is an unusable store, and the log says why."""
    async with RawServer([refusal(status, code)]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable) as raised:
            await operation(store)

    assert detail in raised.value.detail


@pytest.mark.parametrize(
    ("code", "detail"),
    [("TableNotFound", "the table is missing"), ("", "answered 404")],
    ids=["no-table", "not-a-table-service"],
)
@pytest.mark.parametrize(
    "operation",
    [operation for name, operation in (READS | WRITES).items() if name != "delete"],
    ids=[name for name in READS | WRITES if name != "delete"],
)
async def test_404_that_is_not_about_a_row_is_no_missing_row(
    operation: Operation, code: str, detail: str
) -> None:
    """A wrong address or a missing table does not look like rows that are not there."""
    async with RawServer([refusal(404, code)]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable, match=detail):
            await operation(store)


@pytest.mark.parametrize("code", ["ResourceNotFound", "TableNotFound", ""])
async def test_404_to_a_delete_means_done(code: str) -> None:
    """A missing row needs no deletion."""
    async with RawServer([refusal(404, code)]) as server, store_at(server) as store:
        await store.delete(Table.SESSIONS, "a")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer(200, "<html>Sign in</html>", {"Content-Type": "text/html"}), id="page"),
        pytest.param(answer(200, "{"), id="broken-json"),
        pytest.param(answer(200, "[]"), id="list"),
        pytest.param(answer(200, "{}"), id="empty-object"),
        pytest.param(answer(200, '{"value": null}'), id="null"),
        pytest.param(answer(200), id="nothing"),
        pytest.param(
            answer(202, "--q--", {"Content-Type": "multipart/mixed; boundary=q"}), id="empty-multipart"
        ),
        pytest.param(answer(200, "x", {"Content-Encoding": "gzip"}), id="not-gzip"),
        pytest.param(answer(400, '{"odata.error": null}'), id="null-error"),
        pytest.param(answer(400, '{"odata.error": "x"}'), id="text-error"),
        pytest.param(answer(302, headers={"Location": "http://127.0.0.1:1/"}), id="redirect"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{", id="cut-off"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="other-protocol"),
    ],
)
@each_operation
async def test_answer_of_something_else_is_an_unusable_store(operation: Operation, reply: bytes) -> None:
    """Any answer that is not the table service's raises `StorageUnavailable`, and no other error."""
    async with RawServer([reply]) as server, store_at(server, deadline=0.2) as store:
        with pytest.raises(StorageUnavailable):
            await operation(store)


@pytest.mark.parametrize("verb", ["insert", "replace"])
async def test_write_without_an_etag_in_its_answer_is_not_known_to_have_worked(verb: str) -> None:
    """Without the new etag the caller could not write again."""
    async with RawServer([answer(204)]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable):
            await WRITES[verb](store)


@each_read
async def test_hanging_read_is_tried_again_within_the_deadline(operation: Operation) -> None:
    """A read without an answer is sent once more on another connection, and then fails."""
    async with RawServer([HANG]) as server, store_at(server, deadline=0.1) as store:
        with pytest.raises(StorageUnavailable):
            await operation(store)

    assert server.methods() == ["GET", "GET"]
    assert [request.connection for request in server.received] == [1, 2]


@each_write
async def test_hanging_write_is_given_up_at_the_deadline(operation: Operation) -> None:
    """A write without an answer may have been applied, so it is not sent again."""
    async with RawServer([HANG]) as server, store_at(server, deadline=0.1) as store:
        with pytest.raises(StorageUnavailable, match="in time"):
            await operation(store)

    assert len(server.received) == 1


@each_read
async def test_read_whose_connection_breaks_is_sent_once_more(operation: Operation) -> None:
    """The caller does not see one broken connection; after the second the read fails."""
    async with RawServer([RESET]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable):
            await operation(store)

    assert server.methods() == ["GET", "GET"]


async def test_read_over_a_connection_that_died_idle_succeeds() -> None:
    """The service closes idle connections: the next read uses a new one."""
    async with RawServer([NO_ROW, RESET, A_ROW]) as server, store_at(server) as store:
        assert await store.get(Table.SESSIONS, "a") is None
        assert await store.get(Table.SESSIONS, "a") == Entity("a", {}, 1)

    assert [request.connection for request in server.received] == [1, 1, 2]


@each_write
async def test_write_over_a_connection_that_breaks_is_sent_once(operation: Operation) -> None:
    """So it is on a used connection too, where aiohttp by itself would repeat PUT and DELETE."""
    async with RawServer([NO_ROW, RESET]) as server, store_at(server) as store:
        await store.get(Table.SESSIONS, "a")
        with pytest.raises(StorageUnavailable):
            await operation(store)

    assert [request.connection for request in server.received] == [1, 1]


async def test_write_whose_answer_was_lost_is_never_a_lost_race() -> None:
    """The connection breaks after the change: a second request would meet the first one's change."""
    async with (
        RawServer([RESET, refusal(412, "UpdateConditionNotSatisfied")]) as server,
        store_at(server) as store,
    ):
        with pytest.raises(StorageUnavailable):
            await store.replace(Table.SESSIONS, READ)
        with pytest.raises(EntityChanged):
            await store.replace(Table.SESSIONS, READ)


@each_operation
async def test_refused_connection_is_an_unusable_store(operation: Operation) -> None:
    """A refused connection raises the port's own error."""
    async with RawServer([NO_ROW]) as server:
        account = StorageAccount.local(server.connection_string)
    store = account.open_tables()
    with pytest.raises(StorageUnavailable):
        await operation(store)
    await store.aclose()


async def test_slow_answers_end_at_the_deadline() -> None:
    """The deadline is for the whole call: a body that arrives slowly does not extend it."""
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            writer.close()
            left.set()

    drops = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = drops.sockets[0].getsockname()[1]
    account = f"AccountName=tests;AccountKey=eA==;TableEndpoint=http://127.0.0.1:{port}/tests"
    store = StorageAccount.local(account).open_tables(deadline=0.1)
    with pytest.raises(StorageUnavailable, match="in time"):
        await store.get(Table.SESSIONS, "a")
    await store.aclose()
    await left.wait()
    drops.close()
    await drops.wait_closed()


async def test_calls_one_after_the_other_share_a_connection() -> None:
    """One client with one pool serves all tables."""
    async with RawServer([NO_ROW]) as server, store_at(server) as store:
        for table in (*Table, *Table):
            await store.get(table, "a")

    assert {request.connection for request in server.received} == {1}


async def test_cancelled_call_ends_as_cancelled() -> None:
    """A cancelled caller gets `CancelledError`, not an error of the store."""
    async with RawServer([HANG]) as server, store_at(server) as store:
        call = asyncio.ensure_future(store.get(Table.SESSIONS, "a"))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and rows go to the service, not to a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with RawServer([A_ROW]) as server, store_at(server) as store:
        assert await store.get(Table.SESSIONS, "a") == Entity("a", {}, 1)


async def test_empty_page_is_not_the_end() -> None:
    """After five seconds the service answers with an empty page and a continuation token."""
    go_on = {"x-ms-continuation-NextPartitionKey": "ca", "x-ms-continuation-NextRowKey": "a"}
    row = {"PartitionKey": "ca", "RowKey": "a", "expires_at": 0, "odata.etag": "an etag"}
    empty = '{"value": []}'
    pages = [answer(200, empty, go_on), answer(200, json.dumps({"value": [row]})), answer(200, empty)]
    async with RawServer(pages) as server, store_at(server) as store:
        assert await go_through_expired(store) == [Entity("a", {}, 0)]

    assert "NextPartitionKey=ca&NextRowKey=a" in server.received[1].path


async def test_redirect_is_not_followed() -> None:
    """A signed request goes to the account's own host and to no other."""
    async with RawServer([A_ROW]) as other:
        elsewhere = {"Location": other.connection_string.partition("TableEndpoint=")[2]}
        async with RawServer([answer(307, headers=elsewhere)]) as server, store_at(server) as store:
            with pytest.raises(StorageUnavailable, match="307"):
                await store.get(Table.SESSIONS, "a")

    assert other.received == []


async def test_missing_table_is_not_made_in_azure() -> None:
    """Without `create_missing` a missing table is an error that tells the operator what to do."""
    async with RawServer([refusal(404, "TableNotFound")]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable, match="the deployment creates it"):
            await store.insert(Table.SESSIONS, NEW)

    assert server.methods() == ["POST"]


async def test_missing_table_that_cannot_be_made_is_an_unusable_store() -> None:
    """An error from creating the table is reported like any other."""
    replies = [refusal(404, "TableNotFound"), refusal(403, "AuthorizationFailure")]
    async with RawServer(replies) as server, store_at(server, create_missing=True) as store:
        with pytest.raises(StorageUnavailable, match="403 AuthorizationFailure"):
            await store.insert(Table.SESSIONS, NEW)

    assert [request.path for request in server.received] == ["/tests/sessions", "/tests/Tables"]


class NoToken(StubCredential):
    """A credential that fails."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        raise ClientAuthenticationError("no managed identity endpoint at 169.254.169.254")


class SlowToken(StubCredential):
    """A credential whose endpoint does not answer."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        await asyncio.Event().wait()
        raise AssertionError


class RefusedToken(StubCredential):
    """The app's identity, which the platform does not know."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        forbidden = HttpResponseError("nobody is assigned")
        forbidden.status_code = 403
        try:
            raise forbidden
        except HttpResponseError:
            raise KeyUnavailable("the managed identity is missing (403)", retry_after=7.0) from None


@pytest.mark.parametrize(
    ("credential", "detail", "retry_after"),
    [
        pytest.param(NoToken(), "no token for the table service: ClientAuthenticationError", 1, id="none"),
        pytest.param(SlowToken(), "the table service did not answer in time", 1, id="hanging"),
        pytest.param(
            RefusedToken(),
            "no token for the table service: the managed identity is missing (403)",
            7,
            id="refused",
        ),
    ],
)
@each_operation
async def test_credential_without_a_token_is_an_unusable_store(
    operation: Operation, credential: StubCredential, detail: str, retry_after: float
) -> None:
    """The deadline includes the time for the token. The log names the identity, not the account's roles."""
    account = StorageAccount(table_endpoint="https://127.0.0.1:9", credential=credential)
    store = account.open_tables(deadline=0.05)
    with pytest.raises(StorageUnavailable) as raised:
        await operation(store)
    await store.aclose()

    assert (raised.value.detail, raised.value.retry_after) == (detail, retry_after)


async def test_nothing_of_a_row_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    """With the SDK's own loggers at WARNING, as the app sets them, no key and no value reaches a log."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="azure")
    async with RawServer([refusal(500, "InternalError")]) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable):
            await store.insert(Table.SESSIONS, Entity("a-key", {"secret": "a-value"}, 1))

    assert "a-key" not in caplog.text
    assert "a-value" not in caplog.text


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("start", [0.0, 0.31, 0.9999])
async def test_walk_begins_at_the_start_and_goes_round(
    azurite: Azurite, prefix: str, table: Table, start: float
) -> None:
    """Rows of the partitions from the start on come first; throttle rows go by kind and digits instead."""
    store = azurite.account.open_tables(prefix=prefix)
    for number in range(60):
        kind = ("client", "device", "principal")[number % 3]
        await store.insert(table, Entity(f"{kind}-{number * 4:02x}", {}, 1))

    found = [entity.key async for entity in store.expired(table, 2, start=start)]
    await store.aclose()

    pivot = f"{int(start * 256):02x}"
    names = [partition(table, key) for key in found]
    if table is Table.THROTTLE:
        pivot = {0.0: "client-00", 0.31: "client-ee", 0.9999: "principal-ff"}[start]
        names = found
    assert len(found) == 60
    assert names == sorted(names, key=lambda name: (name < pivot, name))


@pytest.mark.azurite
async def test_store_that_comes_back_has_its_rows() -> None:
    """Each call fails during an outage; afterwards the same store goes on, with the etags of before."""
    with Azurite(keep=True) as kept:
        store = kept.account.open_tables()
        before = await store.insert(Table.SESSIONS, NEW)
        await asyncio.to_thread(kept.stop)
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await store.get(Table.SESSIONS, "a")
            with pytest.raises(StorageUnavailable):
                await store.replace(Table.SESSIONS, before)
        await asyncio.to_thread(kept.start)

        after = await store.replace(Table.SESSIONS, replace(before, values={"number": 2}))
        assert await store.get(Table.SESSIONS, "a") == after
        await store.aclose()


async def test_write_to_a_hanging_store_may_be_applied_later(azurite: Azurite, prefix: str) -> None:
    """The write fails at the deadline and may happen all the same: its caller finds it on the next read."""
    store = azurite.account.open_tables(prefix=prefix, deadline=0.3)
    patient = azurite.account.open_tables(prefix=prefix)
    before = await patient.insert(Table.SESSIONS, NEW)
    await store.check()
    with azurite.hanging():
        for operation in (store.get(Table.SESSIONS, "a"), store.check()):
            with pytest.raises(StorageUnavailable):
                await operation
        with pytest.raises(StorageUnavailable):
            await store.replace(Table.SESSIONS, replace(before, values={"number": 2}))

    found = await patient.get(Table.SESSIONS, "a")

    assert found is not None
    assert found.values["number"] in (1, 2)
    if found.values["number"] == 2:
        with pytest.raises(EntityChanged):
            await patient.replace(Table.SESSIONS, before)
    for one in (store, patient):
        await one.aclose()


async def test_stores_that_create_the_same_table_all_succeed(azurite: Azurite, prefix: str) -> None:
    """Processes that start together find the table missing together."""
    stores = [azurite.account.open_tables(prefix=prefix) for _ in range(4)]

    inserted = await asyncio.gather(
        *(store.insert(Table.SESSIONS, Entity(f"row-{number}", {}, 1)) for number, store in enumerate(stores))
    )

    assert len(inserted) == 4
    for store in stores:
        await store.aclose()
