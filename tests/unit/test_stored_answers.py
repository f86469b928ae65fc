"""How the answer of an idempotency key lies in the table."""

import base64
from dataclasses import replace

import pytest

from shared.errors import StorageUnavailable
from shared.idempotency import Claim, Idempotency
from shared.pseudonyms import Pseudonyms
from shared.sealing import unseal
from shared.storage.memory import MemoryStore
from shared.storage.port import Entity, Table
from tests.support.clock import FakeClock

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
