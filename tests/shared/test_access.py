"""A session is found by its holder alone, and each miss is charged to the caller's address."""

import json
import logging

import pytest

from create_session.use_case import create_session
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import ClientThrottled, SessionNotFound
from tests.support.app import PSEUDONYMS, app_of
from tests.support.commands import create_command
from tests.support.time import FakeClock

UNKNOWN = "b12e033e-bda7-4b83-a211-e721c661f30e"
HERE = "203.0.113.7/32"
ANNA = Caller(principal="https://issuer.example anna", network=HERE)
SHOP = Caller(principal="https://issuer.example shop", network=HERE, roles=frozenset({"Liveness.Operate"}))


async def test_caller_is_named_by_its_principal_and_has_its_role_by_the_token() -> None:
    """Its issuer vouches for it. Nobody is named where callers are not signed in."""
    assert [caller.operator for caller in (ANNA, SHOP, Caller())] == [False, True, False]
    assert [caller.authority for caller in (ANNA, Caller())] == ["https://issuer.example", None]
    for caller in (ANNA, Caller()):
        names = await caller.pseudonyms(PSEUDONYMS)
        assert await caller.pseudonym(PSEUDONYMS) == next(iter(names), None)


async def test_session_is_found_by_its_holder_and_by_servers_alone() -> None:
    """Unknown, foreign and revoked sessions are all the same; the case of the id does not matter."""
    app = app_of(THROTTLE_MISSES="off")
    created = await create_session(app, create_command(caller=ANNA))
    session_id, token = created.session_id, created.auth_token
    find = app.access.find

    assert (await find(session_id.upper(), token, ANNA)).record.session_id == session_id
    assert (await app.access.find_any(session_id, SHOP, "a-request")).record.session_id == session_id
    for wrong in ((session_id, "a-guess", ANNA), (session_id, None, ANNA), (session_id, token, SHOP)):
        with pytest.raises(SessionNotFound):
            await find(*wrong)
    for unknown in (UNKNOWN, "../x"):
        with pytest.raises(SessionNotFound):
            await find(unknown, token, ANNA)
        with pytest.raises(SessionNotFound):
            await app.access.find_any(unknown, SHOP, "a-request")

    await revoke_session(app, session_id, token, ANNA, "a-request")
    with pytest.raises(SessionNotFound):
        await find(session_id, token, ANNA)
    assert (await find(session_id, token, ANNA, also_revoked=True)).record.revoked


async def test_misses_of_an_address_are_limited() -> None:
    """Ids and tokens cannot be guessed; another address is free."""
    app = app_of(THROTTLE_MISSES="3/10m")
    existing = (await create_session(app, create_command())).session_id
    for session_id, expected in (
        (UNKNOWN, SessionNotFound),
        (existing, SessionNotFound),
        (existing, SessionNotFound),
        (existing, ClientThrottled),
    ):
        with pytest.raises(expected):
            await app.access.find(session_id, "a-guess", Caller(network=HERE))
    with pytest.raises(SessionNotFound):
        await app.access.find(UNKNOWN, "a-guess", Caller(network="203.0.113.8/32"))


async def test_server_that_floods_has_a_line_for_each_session_and_few_for_ids_without_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that loops cannot use up the day's volume of logs, and what it read is known all the same."""
    clock = FakeClock()
    app = app_of(clock=clock)
    created = await create_session(app, create_command(caller=ANNA))
    guesses = [f"{number:08x}-bda7-4b83-a211-e721c661f30e" for number in range(1_000)]
    with caplog.at_level(logging.INFO):
        for guess in guesses:
            await app.access.find_any(created.session_id, SHOP, "a-request")
            with pytest.raises(SessionNotFound):
                await app.access.find_any(guess, SHOP, "a-request")
        clock.advance_seconds(60)
        await app.access.find_any(created.session_id, SHOP, "a-request")

    lines = [json.loads(record.getMessage()) for record in caplog.records]
    accesses = [line for line in lines if line["event"] == "session_accessed_by_server"]
    assert [line.get("times") for line in accesses] == [None] * 10 + [995] * 2 + [None]
    assert [line["sessionId"] for line in accesses[1:10:2]] == guesses[:5]
    assert len({line["caller"] for line in accesses}) == 1
