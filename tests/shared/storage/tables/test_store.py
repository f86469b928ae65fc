"""The Table Storage adapter: requests, unusual answers, and outages of the service."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.errors import KeyUnavailable, StorageUnavailable
from shared.storage.account import LARGEST_PAGE, StorageAccount
from shared.storage.port import Entity, EntityStore, Table
from tests.support.azurite import Azurite, StubCredential
from tests.support.raw_server import HANG, RESET, TOO_SLOW, RawServer, Received, Step, answer, refusal, sent
from tests.support.time import let_pass

Operation = Callable[[EntityStore], Awaitable[object]]

NEW = Entity("a", {"number": 1}, 1)
READ = Entity("a", {"number": 1}, 1, 'W/"an etag"')
NO_ROW = refusal(404, "ResourceNotFound")
ROW = {"PartitionKey": "ca", "RowKey": "a", "expires_at": 1, "odata.etag": "an etag"}
A_ROW = answer(200, json.dumps(ROW))


async def go_through_expired(store: EntityStore) -> list[Entity]:
    return [entity async for entity in store.expired(Table.SESSIONS, 1)]


READS: dict[str, Operation] = {
    "get": lambda store: store.get(Table.SESSIONS, "a"),
    "expired": go_through_expired,
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
async def store_at(server: RawServer, *, create_missing: bool = False) -> AsyncIterator[EntityStore]:
    account = StorageAccount(connection_string=server.connection_string, create_missing=create_missing)
    async with aclosing(account.open_tables(deadline=30.0)) as store:
        yield store


async def failed(
    operation: Operation, *replies: Step, create_missing: bool = False
) -> tuple[StorageUnavailable, list[Received]]:
    """Return the error of an operation on a service with these answers, and the requests."""
    async with RawServer(*replies) as server, store_at(server, create_missing=create_missing) as store:
        with pytest.raises(StorageUnavailable) as raised:
            await operation(store)
    return raised.value, server.received


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (refusal(403, "AuthorizationPermissionMismatch"), "Storage Table Data Contributor"),
        (refusal(403, "AuthorizationFailure"), "network rules"),
        (refusal(401, "InvalidAuthenticationInfo"), "credential was not accepted"),
        (refusal(404, "TableNotFound"), "the table is missing; the deployment creates it"),
        (refusal(404, ""), "answered 404"),
        (refusal(412, ""), "412"),
        (refusal(429, "TooManyRequests"), "429"),
        (refusal(400, "PropertyNameInvalid"), "400 PropertyNameInvalid"),
        (refusal(503, "ServerBusy"), "503 ServerBusy"),
        (answer(307, headers={"Location": "http://127.0.0.1:1/"}), "307"),
    ],
)
@each_operation
async def test_refusal_is_reported_with_its_reason_and_not_repeated(
    operation: Operation, reply: bytes, detail: str
) -> None:
    """Any error that is not a lost race is an unusable store; only a deletion takes a 404 for success."""
    if operation is WRITES["delete"] and b" 404 " in reply:
        async with RawServer(reply) as server, store_at(server) as store:
            await operation(store)
        return

    error, received = await failed(operation, reply)

    assert detail in error.detail
    assert len(received) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 1), ("86400", 60), ("Mon, 23 Nov 2026 09:52:30 GMT", 30), (None, 1)],
)
async def test_retry_after_is_kept_between_a_second_and_a_minute(header: str | None, seconds: int) -> None:
    """Seconds or a date; any other text counts as one second."""
    headers = {"Date": "Mon, 23 Nov 2026 09:52:00 GMT"} | ({"Retry-After": header} if header else {})

    error, _ = await failed(READS["get"], refusal(503, "ServerBusy", headers))

    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer(200, "<html>Sign in</html>", {"Content-Type": "text/html"}), id="page"),
        pytest.param(answer(200, "[]"), id="list"),
        pytest.param(answer(200, "{}"), id="empty-object"),
        pytest.param(answer(204), id="nothing"),
        pytest.param(
            answer(202, "--q--", {"Content-Type": "multipart/mixed; boundary=q"}), id="empty-multipart"
        ),
        pytest.param(answer(200, "x", {"Content-Encoding": "gzip"}), id="not-gzip"),
        pytest.param(answer(400, '{"odata.error": null}'), id="null-error"),
        pytest.param(answer(400, '{"odata.error": "x"}'), id="text-error"),
        pytest.param(sent(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="cut-off"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="other-protocol"),
    ],
)
@each_operation
async def test_answer_of_something_else_is_an_unusable_store(operation: Operation, reply: Step) -> None:
    if operation is WRITES["delete"] and reply == answer(204):
        return  # This is the service's answer to a deletion.

    await failed(operation, reply)


@each_read
async def test_read_over_a_broken_connection_is_sent_once_more(operation: Operation) -> None:
    """The caller does not see one broken connection; after the second the read fails."""
    _, received = await failed(operation, RESET)

    assert [(request.method, request.connection) for request in received] == [("GET", 1), ("GET", 2)]


@each_operation
async def test_slow_answer_has_the_whole_deadline(operation: Operation) -> None:
    """No read is given up for a second try that would be as slow, and no write that the service is about to take."""
    deadline = 150 if operation is READS["expired"] else 30

    async def nearly_too_slow(writer: asyncio.StreamWriter) -> bool:
        let_pass(deadline - 5)
        for _ in range(10):
            # The timers of the call that are due act now.
            await asyncio.sleep(0)
        writer.write(refusal(503, "ServerBusy"))
        return True

    error, received = await failed(operation, nearly_too_slow)

    assert (error.detail, len(received)) == ("the table service answered 503 ServerBusy", 1)


async def test_error_code_counts_only_for_operations_that_can_have_it() -> None:
    """A stranger that answers `ResourceNotFound` to everything is an unusable store, not a lost race."""
    missing, exists = refusal(404, "ResourceNotFound"), refusal(409, "EntityAlreadyExists")
    await failed(WRITES["insert"], missing)
    await failed(WRITES["replace"], exists)
    await failed(READS["get"], exists)
    await failed(READS["expired"], missing)


@each_operation
async def test_huge_answer_is_refused_before_it_is_in_memory(operation: Operation) -> None:
    """The service's own answers have at most `LARGEST_PAGE` bytes; encoded ones are not asked for."""
    huge = f'{{"value": "{"x" * LARGEST_PAGE}"}}'
    packed = answer(200, gzip.compress(huge.encode()), {"Content-Encoding": "gzip"})
    for reply in (answer(200, huge), packed):
        error, _ = await failed(operation, reply)
        assert error.detail == "the table service did not answer usably: AnswerRefused"


@pytest.mark.parametrize("reply", [TOO_SLOW, RESET])
@each_write
async def test_write_without_an_answer_is_not_sent_again(operation: Operation, reply: Step) -> None:
    """It may have been applied. So it is on a used connection, where aiohttp by itself would repeat PUT and DELETE."""

    async def read_then_write(store: EntityStore) -> None:
        assert await store.get(Table.SESSIONS, "a") is None
        await operation(store)

    _, received = await failed(read_then_write, NO_ROW, reply)

    assert [request.connection for request in received] == [1, 1]


async def test_read_over_a_connection_that_died_idle_succeeds() -> None:
    """The service closes idle connections: the next read uses a new one."""
    async with RawServer(NO_ROW, RESET, A_ROW) as server, store_at(server) as store:
        assert await store.get(Table.SESSIONS, "a") is None
        assert await store.get(Table.SESSIONS, "a") == Entity("a", {}, 1)

    assert [request.connection for request in server.received] == [1, 1, 2]


async def test_cancelled_call_ends_as_cancelled() -> None:
    async with RawServer(HANG) as server, store_at(server) as store:
        call = asyncio.ensure_future(store.get(Table.SESSIONS, "a"))
        await server.arrived()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


GO_ON = {"x-ms-continuation-NextPartitionKey": "ca", "x-ms-continuation-NextRowKey": "a"}


async def test_empty_page_is_not_the_end() -> None:
    """After five seconds the service answers with an empty page and a continuation token."""
    empty = '{"value": []}'
    pages = [answer(200, empty, GO_ON), answer(200, json.dumps({"value": [ROW]})), answer(200, empty)]
    async with RawServer(*pages) as server, store_at(server) as store:
        assert await go_through_expired(store) == [Entity("a", {}, 1)]

    assert "NextPartitionKey=ca&NextRowKey=a" in server.received[1].path


async def test_walk_that_is_given_up_reads_no_further_page() -> None:
    """The purge stops when its time is over. The connection is free for the next call."""
    page = answer(200, json.dumps({"value": [ROW]}), GO_ON)
    async with RawServer(page, A_ROW) as server, store_at(server) as store:
        async for _ in store.expired(Table.SESSIONS, 1):
            break
        assert await store.get(Table.SESSIONS, "a") == Entity("a", {}, 1)

    assert [request.connection for request in server.received] == [1, 1]


async def test_missing_table_that_cannot_be_made_is_an_unusable_store() -> None:
    replies = refusal(404, "TableNotFound"), refusal(403, "AuthorizationFailure")

    error, received = await failed(WRITES["insert"], *replies, create_missing=True)

    assert "403 AuthorizationFailure" in error.detail
    assert [request.path for request in received] == ["/tests/sessions", "/tests/Tables"]


class Failing(StubCredential):
    """A credential that has no token: it raises the error, or hangs without one."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        raise self.error if self.error else await asyncio.Future()


@pytest.mark.parametrize(
    ("fault", "detail", "retry_after"),
    [
        (
            ClientAuthenticationError("x"),
            "the table service did not answer usably: ClientAuthenticationError",
            1,
        ),
        (None, "the table service did not answer in time", 1),
        (KeyUnavailable("no identity", retry_after=7), "no token for the table service: no identity", 7),
    ],
)
@each_operation
async def test_credential_without_a_token_is_an_unusable_store(
    operation: Operation, fault: Exception | None, detail: str, retry_after: float
) -> None:
    """The deadline includes the time for the token. The log names the identity, not the account's roles."""
    account = StorageAccount(table_endpoint="https://127.0.0.1:9", credential=Failing(fault))
    # A loaded machine is slow: only the credential that hangs is to meet the deadline.
    async with aclosing(account.open_tables(deadline=30.0 if fault else 0.05)) as store:
        with pytest.raises(StorageUnavailable) as raised:
            await operation(store)

    assert (raised.value.detail, raised.value.retry_after) == (detail, retry_after)


async def test_nothing_of_a_row_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the SDK's own loggers at WARNING, as the app sets them, no key and no value reaches a log."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="azure")

    row = Entity("canary-key", {"secret": "canary-value"}, 1)
    await failed(lambda store: store.insert(Table.SESSIONS, row), refusal(500, "InternalError"))

    assert "canary" not in caplog.text


async def test_check_writes_its_row_again_and_again(azurite: Azurite, prefix: str) -> None:
    """Also two instances at once, and where the table is not there yet."""
    async with aclosing(azurite.account.open_tables(prefix=prefix)) as store:
        await asyncio.gather(store.check(), store.check())
        await store.check()


@pytest.mark.parametrize("missing", Table)
async def test_check_fails_where_one_table_is_missing(azurite: Azurite, prefix: str, missing: Table) -> None:
    """Without the table of limits, every create fails, though sessions can be kept."""
    account = StorageAccount(connection_string=azurite.connection_string)
    async with (
        aclosing(azurite.account.open_tables(prefix=prefix)) as creating,
        aclosing(account.open_tables(prefix=prefix)) as store,
    ):
        for table in set(Table) - {missing}:
            await creating.insert(table, Entity("a", {}, 1))
        with pytest.raises(StorageUnavailable):
            await store.check()
        await creating.insert(missing, Entity("a", {}, 1))
        await store.check()


WRITTEN = answer(204, headers={"ETag": "an etag"})


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        ([NO_ROW], "does not keep a row"),
        ([answer(200, "<html>", {"Content-Type": "text/html"})], "answered 200"),
        ([answer(204)], "answered 204"),
        ([WRITTEN] * len(Table) + [NO_ROW], "does not keep a row"),
        ([WRITTEN] * len(Table) + [A_ROW], "does not keep a row"),
        ([refusal(403, "AuthorizationPermissionMismatch")], "Storage Table Data Contributor"),
    ],
    ids=["not found", "web page", "no row", "not kept", "another row", "reader only"],
)
async def test_check_of_a_store_that_keeps_no_row_fails(answers: list[Step], detail: str) -> None:
    """An emulator under the wrong name answers 404 to everything, and a read alone would be content with that."""
    async with RawServer(*answers) as server, store_at(server) as store:
        with pytest.raises(StorageUnavailable, match=detail):
            await store.check()
