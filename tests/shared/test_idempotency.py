"""What an idempotency key guarantees, and how its answer lies in the table."""

import base64
import hmac
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import (
    ClientThrottled,
    EntityChanged,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    StorageUnavailable,
    UpstreamFailure,
)
from shared.idempotency import (
    LEASE_MS,
    NONCE_BYTES,
    Answer,
    Idempotency,
    RequestKey,
    parse_key,
    seal,
    unseal,
)
from shared.storage.port import Entity, Table, Value
from tests.support import junk
from tests.support.app import PSEUDONYMS, pseudonyms_of
from tests.support.intercepted import Call, Effect, failing_once
from tests.support.store import FakeStore
from tests.support.time import FakeClock

TOKEN = "a-token-of-the-answer"
DOWN = StorageUnavailable("for the test")
KEY = RequestKey("anna", "an-idempotency-key", "a request")

Work = Callable[[], Coroutine[Any, Any, Answer]]


class Scene:
    """Idempotency keys over a store that a test can disturb; counts the work that was done and undone."""

    def __init__(self) -> None:
        self.store, self.clock = FakeStore(), FakeClock()
        self.idempotency = Idempotency(self.store, PSEUDONYMS, self.clock)
        self.worked = self.undone = 0
        self.again: list[bool] = []

    async def work(self) -> Answer:
        self.worked += 1
        return Answer({"token": TOKEN, "number": self.worked}, self.clock() + 600_000)

    async def undo(self, answer: Answer) -> None:
        self.undone += 1

    async def once(self, key: RequestKey = KEY, work: Work | None = None) -> Answer:
        async def told(again: bool, _row: str) -> Answer:
            self.again.append(again)
            return await (work or self.work)()

        return await self.idempotency.once(key, told, self.undo)

    async def rows(self) -> list[Entity]:
        return [row async for row in self.store.inner.expired(Table.IDEMPOTENCY, 2**62)]

    async def row(self) -> Entity:
        (row,) = await self.rows()
        return row


def raising(error: BaseException) -> Work:
    async def work() -> Answer:
        raise error

    return work


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_repeat_gets_the_first_answer_until_it_expires(scene: Scene) -> None:
    """The work is done once for each answer; both say whether they are a replay."""
    first = await scene.once()
    scene.clock.advance_ms(599_999)
    repeat, found = await scene.once(), await scene.idempotency.find(KEY)
    scene.clock.advance_ms(1)

    assert (first.replayed, repeat) == (False, replace(first, replayed=True))
    assert found == repeat
    assert await scene.idempotency.find(KEY) is None
    assert (await scene.once()).content["number"] == 2
    assert scene.again == [False, False]


async def test_key_that_is_repeated_too_often_is_refused(scene: Scene) -> None:
    """Ten times in ten seconds: each repeat costs calls of the store, and no other limit counts it."""
    for _ in range(11):
        await scene.once()
    with pytest.raises(ClientThrottled) as refused:
        await scene.once()

    assert refused.value.retry_after == 10.0
    scene.clock.advance_seconds(10)
    assert (await scene.once()).replayed


async def test_key_of_another_request_is_refused(scene: Scene) -> None:
    """A key stands for one request of one caller, while it runs and once it is answered."""
    other = replace(KEY, request="another request")

    async def meanwhile() -> Answer:
        with pytest.raises(IdempotencyKeyReused):
            await scene.once(other)
        return await scene.work()

    await scene.once(work=meanwhile)
    with pytest.raises(IdempotencyKeyReused):
        await scene.once(other)
    with pytest.raises(IdempotencyKeyReused):
        await scene.idempotency.find(other)
    await scene.once(replace(KEY, principal="bert"))

    assert scene.worked == 2


@pytest.mark.parametrize("error", [UpstreamFailure("for the test"), RuntimeError("a bug")], ids=repr)
async def test_failed_work_frees_the_key(scene: Scene, error: Exception) -> None:
    """A failure is not an answer to be kept, and nothing is left of it."""
    with pytest.raises(type(error)):
        await scene.once(work=raising(error))

    assert await scene.rows() == []
    assert (await scene.once()).content["number"] == 1


async def test_failure_of_the_work_is_told_although_the_key_stays_claimed(scene: Scene) -> None:
    """It says more than that of the store."""
    scene.store.fail("delete", DOWN)
    with pytest.raises(UpstreamFailure):
        await scene.once(work=raising(UpstreamFailure("for the test")))


@pytest.mark.parametrize("after_ms", [0, 1, LEASE_MS - 1])
async def test_repeat_waits_while_the_lease_lasts(scene: Scene, after_ms: int) -> None:
    """While the first request may still run, nobody else does; it is worth asking again within a second."""
    with pytest.raises(KeyboardInterrupt):
        await scene.once(work=raising(KeyboardInterrupt()))
    scene.clock.advance_ms(after_ms)
    with pytest.raises(IdempotencyInProgress) as refused:
        await scene.once()

    assert refused.value.retry_after == min(1.0, (LEASE_MS - after_ms) / 1000)
    scene.clock.advance_ms(LEASE_MS - after_ms)
    assert (await scene.once()).content["number"] == 1
    assert scene.again == [False, True]


@pytest.mark.parametrize("operation", ["insert", "get", "replace"])
@pytest.mark.parametrize("taken_over", [False, True], ids=["free", "expired"])
async def test_claim_whose_store_fails_once_is_found_again(
    scene: Scene, operation: str, taken_over: bool
) -> None:
    """A lost answer to the claim, whether of a free key or of an expired one, does not block the key."""
    if taken_over:
        await scene.once()
        scene.clock.advance_ms(600_000)

    async def working() -> Answer:
        scene.store.around = None
        return await scene.work()

    scene.store.around = failing_once(operation, Table.IDEMPOTENCY, arrives=True, error=DOWN)
    answer = await scene.once(work=working)

    assert (answer.replayed, scene.undone) == (False, 0)
    assert (await scene.once()).content == answer.content


async def test_store_that_stays_away_is_told(scene: Scene) -> None:
    """One second look is enough: the work is not begun."""
    scene.store.fail("insert", DOWN, DOWN)

    with pytest.raises(StorageUnavailable):
        await scene.once()
    assert (scene.worked, scene.store.count("insert")) == (0, 2)


@pytest.mark.parametrize("row_is_gone", [False, True], ids=["expired", "gone"])
async def test_race_for_a_free_key_has_one_winner(scene: Scene, row_is_gone: bool) -> None:
    """The request that loses the second write gets an error that tells it to wait."""
    await scene.once()
    scene.clock.advance_ms(600_000)
    row = await scene.row()
    raced: list[Call] = []

    async def race(call: Call, effect: Effect) -> object:
        result = await effect()
        if call.operation == "get" and not raced:
            raced.append(call)
            await scene.store.inner.replace(Table.IDEMPOTENCY, row)
            return None if row_is_gone else result
        return result

    scene.store.around = race
    with pytest.raises(IdempotencyInProgress) as refused:
        await scene.once()
    assert (scene.worked, len(raced), refused.value.retry_after) == (1, 1, 1.0)


@pytest.mark.parametrize("answered", [False, True])
async def test_row_under_the_former_pepper_that_has_ended_frees_the_key(scene: Scene, answered: bool) -> None:
    """The work is told whether it was answered. A row that changes meanwhile is the claim of another request."""
    scene.idempotency = Idempotency(scene.store, pseudonyms_of("old"), scene.clock)
    if answered:
        await scene.once()
    else:
        with pytest.raises(KeyboardInterrupt):
            await scene.once(work=raising(KeyboardInterrupt()))
    scene.clock.advance_ms(600_000)
    scene.idempotency = Idempotency(scene.store, pseudonyms_of("new,old"), scene.clock)
    scene.store.fail("delete", EntityChanged())
    with pytest.raises(IdempotencyInProgress):
        await scene.once()
    await scene.once()

    assert scene.again == [False, not answered]


@pytest.mark.parametrize(("fault", "undone"), [("not sent", 1), ("answer lost", 0), ("store gone", 0)])
async def test_answer_that_is_not_certainly_stored(scene: Scene, fault: str, undone: int) -> None:
    """The work is undone only where no repeat can get its answer; the key works again as soon as it can."""

    async def working() -> Answer:
        (scene.store.lose if fault == "answer lost" else scene.store.fail)("replace", DOWN)
        if fault == "store gone":
            scene.store.fail("delete", DOWN)
        return await scene.work()

    with pytest.raises(StorageUnavailable):
        await scene.once(work=working)

    assert scene.undone == undone
    if fault == "store gone":
        with pytest.raises(IdempotencyInProgress):
            await scene.once()
        scene.clock.advance_ms(LEASE_MS)
    assert (await scene.once()).content["number"] == (1 if fault == "answer lost" else 2)


@pytest.mark.parametrize("fails", [False, True])
async def test_owner_slower_than_its_lease_changes_nothing(scene: Scene, fails: bool) -> None:
    """The key was taken over: the slow one is undone if it made anything, and the answer of the other stays."""

    async def slow() -> Answer:
        scene.clock.advance_ms(LEASE_MS)
        await scene.once()
        if fails:
            raise UpstreamFailure("for the test")
        return await scene.work()

    with pytest.raises(UpstreamFailure if fails else IdempotencyInProgress):
        await scene.once(work=slow)

    repeat = await scene.once()
    assert (scene.undone, repeat.replayed, repeat.content["number"]) == (int(not fails), True, 1)


async def test_answer_opens_with_pepper_principal_and_key_alone(scene: Scene) -> None:
    """The table holds neither the key nor what it is made from: without the phone's key nothing opens."""
    await scene.once()
    row = await scene.row()
    sealed = base64.b64decode(str(row.values["answer"]))

    async def opened(*parts: str) -> bytes | None:
        [pepper] = await PSEUDONYMS.peppers()
        root = pepper.digest("idempotency", *parts)
        return unseal(hmac.digest(root, b"seal", "sha256"), sealed, row.key.encode())

    assert TOKEN.encode() in (await opened("anna", KEY.key) or b"")
    for wrong in (("anna", "another-key"), ("bert", KEY.key), ("anna",)):
        assert await opened(*wrong) is None
    from_the_table = hmac.digest(bytes.fromhex(row.key), b"seal", "sha256")
    assert unseal(from_the_table, sealed, row.key.encode()) is None
    assert not any(secret in repr((row, sealed)) for secret in (TOKEN, KEY.key, KEY.request, "anna"))


async def test_answer_that_was_moved_to_another_row_does_not_open(scene: Scene) -> None:
    """Somebody who can write to the table cannot hand one phone's session to another."""
    await scene.once()
    answer = (await scene.row()).values["answer"]
    other = replace(KEY, principal="bert")

    async def forging() -> Answer:
        (claim,) = [row for row in await scene.rows() if "answer" not in row.values]
        forged = replace(claim, values={**claim.values, "answer": answer})
        await scene.store.replace(Table.IDEMPOTENCY, forged)
        return await scene.work()

    with pytest.raises(IdempotencyInProgress):
        await scene.once(other, forging)
    with pytest.raises(StorageUnavailable) as refused:
        await scene.once(other)
    assert refused.value.lasting


@given(
    st.dictionaries(
        st.sampled_from(["fingerprint", "owner", "answer"]),
        junk.VALUES | st.binary().map(lambda content: base64.b64encode(content).decode()),
    ),
    st.booleans(),
)
async def test_row_that_holds_no_answer_is_a_failure_of_the_store(
    changed: dict[str, Value], claims: bool
) -> None:
    """It is never taken for a free key: a repeat could be given a second session."""
    scene = Scene()
    await scene.once()
    row = await scene.row()

    async def edited(call: Call, effect: Effect) -> object:
        found = await effect()
        return replace(row, values={**row.values, **changed}) if call.operation == "get" else found

    scene.store.around = edited
    if changed.keys() <= {"owner"}:
        assert (await scene.once()).replayed
        return

    declared = (StorageUnavailable, IdempotencyKeyReused)
    with pytest.raises(declared) as refused:
        await (scene.once() if claims else scene.idempotency.find(KEY))
    is_other_request = isinstance(refused.value, IdempotencyKeyReused)
    assert "fingerprint" in changed if is_other_request else refused.value.lasting
    assert scene.worked == 1


@pytest.mark.parametrize("left_out", ["fingerprint", "answer"])
async def test_row_without_a_fingerprint_is_no_other_request(scene: Scene, left_out: str) -> None:
    """A claim has no answer yet; a row without a fingerprint is nothing that the broker wrote."""
    await scene.once()
    row = await scene.row()
    values = {name: value for name, value in row.values.items() if name != left_out}
    await scene.store.replace(Table.IDEMPOTENCY, replace(row, values=values))

    with pytest.raises(IdempotencyInProgress if left_out == "answer" else StorageUnavailable):
        await scene.once()


@pytest.mark.parametrize("key", ["k" * 16, "Az09_-" * 20 + "k" * 8])
def test_key_is_read_bare_quoted_or_in_braces(key: str) -> None:
    """16 to 128 of `A-Za-z0-9_-`; the draft writes keys as quoted strings, and some platforms GUIDs in braces."""
    assert parse_key(key) == parse_key(f'"{key}"') == parse_key(f"{{{key}}}") == key


@pytest.mark.parametrize(
    "text",
    [
        *("", "k" * 15, "k" * 129, "sixteen characters", f"{'k' * 16}\n", "\uff4b" * 16),
        *(f'"{"k" * 20}', f'{"k" * 20}"', f'{{{"k" * 20}"'),
    ],
    ids=ascii,
)
def test_other_text_is_no_key(text: str) -> None:
    """Half a quotation, a line break and letters of other alphabets are refused."""
    with pytest.raises(InvalidIdempotencyKey):
        parse_key(text)


async def test_no_repr_shows_key_or_answer(scene: Scene) -> None:
    """Neither is printed by mistake."""
    shown = repr((KEY, await scene.once()))

    assert not any(secret in shown for secret in (KEY.key, KEY.request, TOKEN))


SEAL_KEY = bytes(32)
SEALED = seal(SEAL_KEY, b"an answer", b"a row")


def test_sealed_content_is_hidden_and_opens() -> None:
    """A nonce of its own is in front of each."""
    assert b"an answer" not in SEALED
    assert unseal(SEAL_KEY, SEALED, b"a row") == b"an answer"
    assert seal(SEAL_KEY, b"an answer", b"a row")[:NONCE_BYTES] != SEALED[:NONCE_BYTES]


@pytest.mark.parametrize(
    ("key", "sealed", "place"),
    [
        (b"1" * 32, SEALED, b"a row"),
        (SEAL_KEY, SEALED, b"another row"),
        (SEAL_KEY, SEALED[:-1] + bytes([SEALED[-1] ^ 1]), b"a row"),
        *((SEAL_KEY, SEALED[:count], b"a row") for count in (0, 12, 27, 28)),
    ],
    # The sealed bytes are others in each process.
    ids=["key", "row", "bit", "0 bytes", "12 bytes", "27 bytes", "28 bytes"],
)
def test_anything_else_does_not_open(key: bytes, sealed: bytes, place: bytes) -> None:
    """Another key or row, a changed bit, and too few bytes for a nonce and a tag."""
    assert unseal(key, sealed, place) is None
