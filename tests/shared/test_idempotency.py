"""How the answer of an idempotency key lies in the table."""

import base64
from dataclasses import replace

import pytest

from shared.errors import IdempotencyInProgress, StorageUnavailable
from shared.idempotency import Claim, Idempotency, StoredAnswer
from shared.pseudonyms import Pseudonyms
from shared.sealing import unseal
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.support.time import FakeClock

KEY = "an-idempotency-key"
CONTENT = b"an answer with a token"


async def _pepper() -> bytes:
    return b"a-pepper"


PSEUDONYMS = Pseudonyms(_pepper)


async def stored_answer(store: MemoryStore) -> Entity:
    """Store an answer; returns its row."""
    clock = FakeClock()
    idempotency = Idempotency(store, PSEUDONYMS, clock)
    claim = await idempotency.begin("anna", KEY, "a request")
    assert isinstance(claim, Claim)
    return (await idempotency.complete(claim, CONTENT, clock() + 600_000)).entity


async def test_answer_opens_with_pepper_principal_and_key_alone() -> None:
    """The table holds neither the key nor what it is made from: without the phone's key nothing opens."""
    row = await stored_answer(MemoryStore())
    sealed = base64.b64decode(str(row.values["answer"]))

    async def opened(*parts: str) -> bytes | None:
        return unseal(await PSEUDONYMS.digest("idempotency-seal", *parts), sealed, row.key.encode())

    assert await opened("anna", KEY) == CONTENT
    assert [await opened("anna", "another-key"), await opened("bert", KEY), await opened("anna")] == [
        None
    ] * 3


async def test_answer_that_was_moved_to_another_row_does_not_open() -> None:
    """Who can write to the table cannot hand one phone's session to another."""
    store = MemoryStore()
    row = await stored_answer(store)
    clock = FakeClock()
    idempotency = Idempotency(store, PSEUDONYMS, clock)
    other = await idempotency.begin("bert", KEY, "a request")
    assert isinstance(other, Claim)
    forged = {**other.entity.values, "answer": row.values["answer"]}
    await store.replace(Table.IDEMPOTENCY, replace(other.entity, values=forged))

    with pytest.raises(StorageUnavailable):
        await idempotency.begin("bert", KEY, "a request")


async def test_claim_holds_for_half_a_minute() -> None:
    """While the first request may still run nobody else does; once it cannot any more, the key is free again."""
    store, clock = MemoryStore(), FakeClock()
    idempotency = Idempotency(store, PSEUDONYMS, clock)
    await idempotency.begin("anna", KEY, "a request")

    clock.advance_seconds(29.999)
    with pytest.raises(IdempotencyInProgress):
        await idempotency.begin("anna", KEY, "a request")
    clock.advance_seconds(0.001)

    assert isinstance(await idempotency.begin("anna", KEY, "a request"), Claim)


@pytest.mark.parametrize("wrong_by", [3_600_000, -3_600_000])
async def test_clock_that_the_first_answer_puts_right_leaves_no_wrong_lease(wrong_by: int) -> None:
    """An instance whose own clock is an hour off does not lock a key for an hour, nor leave it open to the next."""
    clock = FakeClock()

    class Teaching(MemoryStore):
        offset = wrong_by

        async def check(self) -> None:
            self.offset = 0

    store = Teaching()
    claim = await Idempotency(store, PSEUDONYMS, lambda: clock() + store.offset).begin(
        "anna", KEY, "a request"
    )

    assert isinstance(claim, Claim)
    assert claim.entity.expires_at == clock() + 30_000
    assert await store.get(Table.IDEMPOTENCY, claim.entity.key) == claim.entity


async def test_late_withdrawal_leaves_the_next_holder_alone() -> None:
    """A request that was slow beyond its lease takes back nothing that is not its own."""
    store, clock = MemoryStore(), FakeClock()
    idempotency = Idempotency(store, PSEUDONYMS, clock)
    slow = await idempotency.begin("anna", KEY, "a request")
    clock.advance_seconds(30)
    next_one = await idempotency.begin("anna", KEY, "a request")
    assert isinstance(slow, Claim)
    assert isinstance(next_one, Claim)
    await idempotency.complete(next_one, CONTENT, clock() + 600_000)

    assert not await idempotency.withdraw(slow)
    found = await idempotency.find("anna", KEY, "a request")
    assert isinstance(found, StoredAnswer)
    assert found.content == CONTENT
