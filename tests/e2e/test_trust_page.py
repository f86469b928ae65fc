"""The three ways of docs/trust.md, as it draws them, where a digest is required as in production."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.collect_result.draining import collect_all, collect_due
from tests.e2e.signed_in import ROLE, Scene, signed_in
from tests.support.consumer import Orders

PAGE = (Path(__file__).parents[2] / "docs/trust.md").read_text(encoding="utf-8")
ORDER = "order:4711"
PERSON: dict[str, Any] = {"sub": "anna"}
GRANT: dict[str, Any] = {"sub": "anna", "client_reference": ORDER}
SERVER: dict[str, Any] = {"sub": "shop", "roles": ROLE}
FOR_ANNA = {"onBehalfOf": "anna", "clientReference": ORDER}


async def outcome(scene: Scene, session: Mapping[str, Any]) -> dict[str, Any]:
    """The session's one event, after everything that waits was collected."""
    await collect_all(scene.broker)
    [event] = [one for one in scene.broker.events if one["subject"] == session["sessionId"]]
    return dict(event)


@pytest.mark.parametrize(
    ("claims", "fields", "accepted"),
    [(PERSON, {}, False), (GRANT, {}, True), (SERVER, FOR_ANNA, True)],
    ids=["person", "grant", "server"],
)
@pytest.mark.parametrize("reads", [True, False])
async def test_check_passes_with_the_read_that_sends_its_digest(
    orders: Orders, claims: dict[str, Any], fields: dict[str, str], accepted: bool, reads: bool
) -> None:
    """Who created the session sends it, with the session's token. Without that read nobody passes."""
    async with signed_in(REQUIRE_DIGEST="true") as scene:
        token = scene.issuer.token(**claims)
        session = await scene.created(token, fields)
        digest = (await scene.broker.perform(session))["digest"]
        if reads:
            answer = await scene.of(session, "GET", token, **{"X-Client-Digest": digest})
            assert answer.json()["passed"] is True
        event = await outcome(scene, session)
    person = "anna" if fields else f"{scene.issuer.url} anna"
    orders.expect(ORDER, person, session["sessionId"] if fields else None)

    assert (event["data"]["passed"], event["data"]["principal"]) == (reads, person)
    assert orders.handle(event) is (accepted and reads)


async def test_phone_that_signs_in_names_its_session_before_the_check(orders: Orders) -> None:
    """Then the event finds the order, also where it comes at once. One session confirms one order of its person."""
    async with signed_in() as scene:
        anna = f"{scene.issuer.url} anna"
        orders.expect("login:1", anna)
        orders.expect("login:2", anna)
        orders.expect("login:3", f"{scene.issuer.url} eve")
        session = await scene.created(scene.issuer.token(**PERSON))
        session_id = session["sessionId"]
        named = [
            orders.name_session("login:1", f"{scene.issuer.url} eve", session_id),
            orders.name_session("login:1", anna, "an-earlier-try"),
            orders.name_session("login:1", anna, session_id),
            orders.name_session("login:2", anna, session_id),
            orders.name_session("login:3", f"{scene.issuer.url} eve", session_id),
        ]
        await scene.broker.perform(session)
        event = await outcome(scene, session)

    assert named == [False, True, True, False, False]
    assert [orders.handle(event), orders.handle(event)] == [True, False]
    assert orders.name_session("login:1", anna, "a-later-session") is False
    assert orders.verified() == ["login:1"]


async def test_session_that_is_named_after_its_event_confirms_nothing(orders: Orders) -> None:
    """A check of last week does not confirm a login of today, whatever the clocks say."""
    async with signed_in() as scene:
        anna = f"{scene.issuer.url} anna"
        session = await scene.created(scene.issuer.token(**PERSON))
        await scene.broker.perform(session)
        event = await outcome(scene, session)
    orders.handle(event)
    orders.expect("login:1", anna)
    orders.name_session("login:1", anna, session["sessionId"])

    assert orders.handle(event) is False
    assert orders.verified() == []


@pytest.mark.parametrize(("seconds", "counts"), [(600 + 124, True), (600 + 125, False)])
async def test_phone_can_hold_back_the_event_of_its_check(orders: Orders, seconds: int, counts: bool) -> None:
    """It does not read its result, and names the session later: until two minutes after the token's end that counts."""
    async with signed_in() as scene:
        anna = f"{scene.issuer.url} anna"
        orders.expect("login:1", anna)
        session = await scene.created(scene.issuer.token(**PERSON))
        await scene.broker.perform(session)
        scene.broker.clock.advance_seconds(seconds)
        await collect_due(scene.broker)
        for event in scene.broker.events:
            orders.handle(event)
        orders.name_session("login:1", anna, session["sessionId"])
        event = await outcome(scene, session)

    assert orders.handle(event) is counts


async def test_session_of_a_grant_confirms_its_own_order_alone(orders: Orders) -> None:
    """Its phone may name it for another order of the same person: the token says what the check is for."""
    async with signed_in() as scene:
        anna = f"{scene.issuer.url} anna"
        orders.expect(ORDER, anna)
        orders.expect("login:1", anna)
        session = await scene.created(scene.issuer.token(**GRANT))
        assert orders.name_session("login:1", anna, session["sessionId"]) is True
        await scene.broker.perform(session)
        event = await outcome(scene, session)

    assert orders.handle(event) is True
    assert orders.verified() == [ORDER]


async def test_digest_of_a_servers_session_needs_both_tokens() -> None:
    """The phone has no access token. The server sends the session's token too, or its digest is ignored."""
    async with signed_in(REQUIRE_DIGEST="true") as scene:
        server = scene.issuer.token(**SERVER)
        session = await scene.created(server, FOR_ANNA)
        digest = {"X-Client-Digest": (await scene.broker.perform(session))["digest"]}
        of_the_phone = await scene.of(session, "GET", None, **digest)
        await scene.send("GET", f"sessions/{session['sessionId']}", server, **digest)
        event = await outcome(scene, session)

    assert of_the_phone.status_code == 401
    assert (event["data"]["livenessDecision"], event["data"]["digestMatches"]) == ("realface", None)
    assert event["data"]["passed"] is False


def test_each_way_is_drawn_with_that_read() -> None:
    """Between the check and the event."""
    diagrams = re.findall(r"^```mermaid\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    readers = [
        re.findall(r"the check\n.*?  ([PS])->>B: read, .*digest\n.*event", one, re.DOTALL) for one in diagrams
    ]

    assert readers == [["P"], ["P"], ["S"]]
