"""Instances that know different values of the pepper act as one: nothing is forgotten, and nothing counts twice."""

import secrets
from dataclasses import replace
from itertools import pairwise

import pytest

from create_session.use_case import CreateCommand
from shared.access import Caller
from shared.app import App
from shared.errors import (
    ClientThrottled,
    SessionNotFound,
    StorageUnavailable,
    Throttled,
)
from shared.storage.port import MemoryStore, Table
from tests.support.azurite import Azurite
from tests.support.rotating import (
    ANNA,
    BERT,
    HERE,
    SHOP,
    STEPS,
    Rotation,
    command_of,
    give,
    read,
)
from tests.support.store import FakeStore

# Two instances are at most one step apart: each step waits until all instances have made it.
PAIRS = [pair for one, other in pairwise(STEPS) for pair in ((one, other), (other, one))]
beside = pytest.mark.parametrize(("here", "there"), PAIRS)

OFF = {
    f"THROTTLE_{one}": "off" for one in ("DEVICE", "PRINCIPAL", "REFERENCE", "CLIENT", "FAILURES", "MISSES")
}
GRANT = replace(ANNA, client_reference="order:1")
COUNTED = {
    "DEVICE": command_of(),
    "PRINCIPAL": command_of(SHOP, on_behalf_of="carl"),
    "REFERENCE": command_of(GRANT, reference="order:1"),
    "CLIENT": command_of(replace(ANNA, network=HERE)),
}


async def require_refused(app: App, command: CreateCommand, policy: str | None = None) -> None:
    with pytest.raises(Throttled) as refused:
        await give(app, command)
    assert refused.value.rate_limit.get("RateLimit-Policy") == policy


@pytest.mark.parametrize("name", COUNTED)
async def test_create_that_would_be_refused_is_one_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Although the rows under both peppers would refuse it."""
    rotation = Rotation(OFF | {f"THROTTLE_{name}": "1/h", "THROTTLE_MODE": "observe"})
    app = rotation.at("old,new")

    for _ in range(2):
        await give(app, COUNTED[name])

    assert len([line for line in caplog.messages if "throttle_would_refuse" in line]) == 1


@beside
@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (command_of(Caller()), command_of(Caller())),
        (command_of(), command_of(device="another")),
        (command_of(SHOP, on_behalf_of="carl"), command_of(SHOP, "another", on_behalf_of="carl")),
    ],
    ids=["device", "person", "named person"],
)
async def test_failed_checks_of_both_instances_count_together(
    command: CreateCommand, refused: CreateCommand, here: str, there: str
) -> None:
    """Wherever the sessions were made, and wherever their results are read."""
    rotation = Rotation(OFF | {"THROTTLE_FAILURES": "2/h"})
    apps = [rotation.at(here), rotation.at(there)]
    given = [await give(app, command) for app in apps]

    for app, one in zip(reversed(apps), given, strict=True):
        await give(app, refused)
        rotation.clock.advance_seconds(60)
        await rotation.fail(app, one)

    for app in apps:
        await require_refused(app, refused)


@beside
@pytest.mark.parametrize("caller", [BERT, Caller(network=HERE)], ids=["person", "address"])
async def test_misses_at_both_instances_count_together(caller: Caller, here: str, there: str) -> None:
    """Somebody who guesses has no more tries."""
    rotation = Rotation(OFF | {"THROTTLE_MISSES": "2/h"})
    apps = [rotation.at(here), rotation.at(there)]
    given = await give(apps[0], command_of())

    for refusal in (SessionNotFound, ClientThrottled):
        for app in apps:
            with pytest.raises(refusal):
                await read(app, given, caller)


@pytest.mark.parametrize("mode", ["enforce", "observe"])
async def test_refused_miss_costs_nothing(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """Although the row under the first pepper has room. It is one line in the log, and room comes back in time."""
    rotation = Rotation(OFF | {"THROTTLE_MISSES": "1/h", "THROTTLE_MODE": mode})
    given = await give(rotation.at("old"), command_of())
    with pytest.raises(SessionNotFound):
        await read(rotation.at("old"), given, BERT)
    app = rotation.at("new,old")

    for _ in range(2):
        rotation.clock.advance_seconds(1_799)
        with pytest.raises(ClientThrottled if mode == "enforce" else SessionNotFound):
            await read(app, given, BERT)
    rotation.clock.advance_seconds(2)
    with pytest.raises(SessionNotFound):
        await read(app, given, BERT)

    lines = [line for line in caplog.messages if "throttle_would_refuse" in line]
    assert len(lines) == (2 if mode == "observe" else 0)


async def test_repeated_refusal_of_a_miss_calls_no_store() -> None:
    """A flood of misses that are refused must cost nothing."""
    rotation = Rotation(OFF | {"THROTTLE_MISSES": "1/h"})
    given = await give(rotation.at("old"), command_of())
    with pytest.raises(SessionNotFound):
        await read(rotation.at("old"), given, BERT)
    assert isinstance(rotation.store, MemoryStore)
    store = rotation.store = FakeStore(rotation.store)
    app = rotation.at("new,old")
    counts = []
    for _ in range(2):
        with pytest.raises(ClientThrottled):
            await read(app, given, BERT)
        counts.append(len([call for call in store.calls if call.table is Table.THROTTLE]))

    assert counts[0] == counts[1]


async def test_refused_device_is_told_what_is_left_under_all_peppers() -> None:
    """Failed checks refuse it under each pepper, but only the row under the old one has counted all creates."""
    rotation = Rotation(OFF | {"THROTTLE_DEVICE": "5/d", "THROTTLE_FAILURES": "1/h"})
    await give(rotation.at("old"), command_of())
    given = await give(rotation.at("old,new"), command_of())
    app = rotation.at("new,old")
    await rotation.fail(app, given)

    with pytest.raises(Throttled) as refused:
        await give(app, command_of())

    assert refused.value.rate_limit["RateLimit"].startswith('"device-1d";r=3')


@beside
async def test_record_that_was_changed_is_refused_whatever_it_was_written_under(
    here: str, there: str
) -> None:
    """Several peppers make no forged row fit."""
    rotation = Rotation(OFF)
    app = rotation.at(here)
    given = await give(app, command_of())
    row = await app.store.get(Table.SESSIONS, given.created.session_id)
    assert row
    await app.store.replace(Table.SESSIONS, replace(row, values={**row.values, "digest_required": True}))

    with pytest.raises(StorageUnavailable):
        await read(rotation.at(there), given, ANNA)


@beside
async def test_repeat_at_the_other_instance_gets_the_same_answer(here: str, there: str) -> None:
    """Also where it is refused before it asks for its key. It is charged once."""
    rotation = Rotation(OFF | {"THROTTLE_DEVICE": "1/h"})
    first, second = rotation.at(here), rotation.at(there)
    command = command_of(key="the-key-of-a-phone")
    given = await give(first, command)

    assert await give(second, command) == given
    await require_refused(second, command_of(), '"device-1h";q=1;w=3600')
    assert await give(second, command) == given
    assert len(rotation.face.specs) == 1


async def test_repeats_at_the_other_instance_are_bounded() -> None:
    """Each costs calls of the store, and no other limit counts it."""
    rotation = Rotation(OFF)
    command = command_of(key="the-key-of-a-phone")
    given = await give(rotation.at("old,new"), command)
    second = rotation.at("new,old")

    for _ in range(10):
        assert await give(second, command) == given
    with pytest.raises(ClientThrottled):
        await give(second, command)


async def test_rows_under_two_peppers_fit_into_tables(azurite: Azurite) -> None:
    """Those of a create are written together, those of a miss one after the other."""
    limits = OFF | {"THROTTLE_DEVICE": "2/h", "THROTTLE_PRINCIPAL": "9/h", "THROTTLE_MISSES": "2/h"}
    rotation = Rotation(limits | {"AzureWebJobsStorage": azurite.connection_string})
    rotation.store = None
    app = rotation.at("new,old")
    caller = replace(ANNA, principal=f"{ANNA.principal}-{secrets.token_hex(8)}")
    try:
        for _ in range(2):
            given = await give(app, command_of(caller))
            with pytest.raises(SessionNotFound):
                await read(app, replace(given, created=replace(given.created, auth_token="a-guess")), caller)
        await require_refused(app, command_of(caller), '"device-1h";q=2;w=3600')
        assert not (await read(app, given, caller)).record.final
        with pytest.raises(ClientThrottled):
            await read(app, replace(given, created=replace(given.created, auth_token="a-guess")), caller)
    finally:
        await app.aclose()
