"""Whose check it is, over HTTP: the transaction, the person, and servers that act for others."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from collect_result.use_case import collect_result
from shared.queues.message import CollectMessage, Reason
from shared.storage.port import MemoryStore
from tests.e2e.signed_in import ROLE, signed_in
from tests.support.broker import Broker, running_broker
from tests.support.consumer import Orders

ORDER = "order:4711"
NAMED = {"clientReference": ORDER}
KEY = {"Idempotency-Key": "a-key-that-was-guessed"}


async def event_of(broker: Broker, session: Mapping[str, Any], outcome: str = "realface") -> dict[str, Any]:
    """Perform the check, and collect its event."""
    await broker.perform(session, outcome=outcome)
    await collect_result(broker.app, CollectMessage(session["sessionId"], Reason.POLL))
    return dict(broker.events[-1])


def require_forbidden(answer: httpx.Response, *fields: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (403, "Forbidden", fields[0])
    assert [(detail["code"], detail["target"]) for detail in error["details"]] == [
        ("Forbidden", field) for field in fields
    ]
    assert all(detail["message"].startswith(detail["target"]) for detail in error["details"])
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("claims", "fields", "rule", "expected"),
    [
        ({"client_reference": ORDER}, {}, "", (ORDER, "token")),
        ({"client_reference": ORDER}, NAMED, "", (ORDER, "token")),
        ({"client_reference": ORDER}, NAMED, "caller", (ORDER, "token")),
        ({}, NAMED, "caller", (ORDER, "caller")),
        ({"roles": ROLE}, NAMED, "", (ORDER, "caller")),
        ({}, {}, "", (None, None)),
    ],
    ids=["grant", "repeated", "grant or caller", "caller", "server", "none"],
)
async def test_event_says_what_named_the_transaction(
    claims: dict[str, Any], fields: dict[str, str], rule: str, expected: tuple[str | None, str | None]
) -> None:
    """The claim of the token, or the body, or nothing; and it says who the caller is."""
    async with signed_in(CLIENT_REFERENCE=rule) as scene:
        data = (await event_of(scene.broker, await scene.created(scene.issuer.token(**claims), fields)))[
            "data"
        ]

    assert (data["clientReference"], data["clientReferenceFrom"]) == expected
    assert data["principal"] == f"{scene.issuer.url} anna"


@pytest.mark.parametrize(
    ("claims", "fields", "rule", "lacking"),
    [
        ({}, NAMED, "", ["clientReference"]),
        ({"client_reference": "order:1"}, NAMED, "", ["clientReference"]),
        ({"client_reference": "order:1"}, NAMED, "caller", ["clientReference"]),
        ({"client_reference": "order:1", "roles": ROLE}, NAMED, "", ["clientReference"]),
        ({}, {"onBehalfOf": "customer-7"}, "caller", ["onBehalfOf"]),
        ({"roles": ["Other.Role"]}, NAMED | {"onBehalfOf": "x"}, "", ["clientReference", "onBehalfOf"]),
    ],
)
async def test_field_that_the_token_does_not_allow_is_forbidden(
    claims: dict[str, Any], fields: dict[str, str], rule: str, lacking: list[str]
) -> None:
    """A grant is for one transaction, and a person acts for nobody else; Face is not called."""
    async with signed_in(CLIENT_REFERENCE=rule) as scene:
        require_forbidden(await scene.create(scene.issuer.token(**claims), fields=fields), *lacking)
        assert scene.broker.simulator.calls["create"] == 0


async def test_nobody_acts_for_others_where_nobody_signs_in() -> None:
    """The role is in no token then."""
    async with running_broker() as broker:
        require_forbidden(await broker.create(onBehalfOf="customer-7"), "onBehalfOf")


async def test_fault_of_form_comes_before_a_missing_right() -> None:
    """It is the sender's to correct, whatever the token."""
    async with signed_in() as scene:
        answer = await scene.create(scene.issuer.token(), fields=NAMED | {"onBehalfOf": "a\nb"})

    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "onBehalfOf")


async def test_live_face_of_a_stranger_verifies_nobodys_order(orders: Orders) -> None:
    """The consumer of the page takes the pass of the person with the grant, and of no other caller or setting."""
    async with running_broker() as broker:
        anonymous = await event_of(broker, await broker.created(**NAMED))
    async with signed_in() as scene:
        require_forbidden(
            await scene.create(scene.issuer.token(sub="mallory"), fields=NAMED), "clientReference"
        )
    async with signed_in(CLIENT_REFERENCE="caller") as scene:
        anna = f"{scene.issuer.url} anna"
        mallory = scene.issuer.token(sub="mallory")
        named = [
            await event_of(scene.broker, await scene.created(token, NAMED))
            for token in (mallory, scene.issuer.token())
        ]
        grants = [scene.issuer.token(sub=name, client_reference=ORDER) for name in ("mallory", "anna")]
        granted = [await event_of(scene.broker, await scene.created(grant)) for grant in grants]
    orders.expect(ORDER, anna)

    strangers = [anonymous, *named, granted[0]]
    assert all(event["data"]["passed"] and event["data"]["clientReference"] == ORDER for event in strangers)
    assert [orders.handle(event) for event in strangers] == [False] * 4
    assert orders.handle(granted[1]) is True


async def test_consumer_takes_the_session_that_its_server_created(orders: Orders) -> None:
    """Its id binds the pass, and `onBehalfOf` is the principal."""
    async with signed_in() as scene:
        server = scene.issuer.token(sub="shop", roles=ROLE)
        sessions = [await scene.created(server, NAMED | {"onBehalfOf": "customer-7"}) for _ in range(2)]
        events = [await event_of(scene.broker, session) for session in sessions]
    orders.expect(ORDER, "customer-7", session=sessions[1]["sessionId"])

    assert [event["data"]["principal"] for event in events] == ["customer-7"] * 2
    assert [orders.handle(event) for event in events] == [False, True]


@pytest.mark.parametrize("claims", [{}, {"client_reference": ORDER}], ids=["person", "grant"])
async def test_stranger_learns_no_more_than_404(claims: dict[str, Any]) -> None:
    """With all that the first caller has but its access token: the session's id, its token and the idempotency key."""
    async with signed_in() as scene:
        anna, bert = scene.issuer.token(**claims), scene.issuer.token(sub="bert", **claims)
        session = await scene.created(anna, **KEY)
        await scene.broker.perform(session)
        unknown = session | {"sessionId": "b12e033e-bda7-4b83-a211-e721c661f30e"}
        for method in ("GET", "DELETE"):
            seen = [await scene.of(one, method, bert) for one in (session, unknown)]
            told = [(answer.status_code, answer.json()["error"] | {"requestId": ""}) for answer in seen]
            assert told[0] == told[1]
            assert told[0][0] == 404
        audits = [
            await scene.send("GET", f"sessions/{one['sessionId']}/audit", bert) for one in (session, unknown)
        ]
        assert [answer.status_code for answer in audits] == [403, 403]
        assert audits[0].json()["error"] | {"requestId": ""} == audits[1].json()["error"] | {"requestId": ""}
        # Neither the answer of the key nor that it is in use, whatever the request.
        replayed = await scene.created(bert, **KEY)
        bodies = [await scene.created(scene.issuer.token(sub="carl"), {"sendResultsToClient": False}, **KEY)]
        assert session["sessionId"] not in (replayed["sessionId"], bodies[0]["sessionId"])

        assert (await scene.of(session, "GET", anna)).json()["passed"] is True


async def test_key_from_before_sign_in_is_not_replayed_to_a_signed_in_caller() -> None:
    """The callers without a name have a scope of their own."""
    store = MemoryStore()
    pepper: dict[str, Any] = {"ID_PEPPER": "a-pepper-of-both"}
    async with running_broker(store=store, **pepper) as broker:
        first = (await broker.create("a-device", KEY)).json()
    async with signed_in(store=store, **pepper) as scene:
        second = await scene.created(scene.issuer.token(), **KEY)

    assert second["sessionId"] != first["sessionId"]


async def test_key_stands_for_one_transaction_and_one_person() -> None:
    """A repeat with another grant, or for another person, is another request."""
    async with signed_in() as scene:
        for first, other in (
            (({"client_reference": "order:1"}, {}), ({"client_reference": "order:2"}, {})),
            (({"roles": ROLE}, {"onBehalfOf": "a"}), ({"roles": ROLE}, {"onBehalfOf": "b"})),
            (({"roles": ROLE}, NAMED), ({"client_reference": ORDER}, {})),
        ):
            name = json.dumps(first)
            answers = [
                await scene.create(scene.issuer.token(sub=name, **claims), fields=fields, **KEY)
                for claims, fields in (first, first, other)
            ]
            assert [answer.status_code for answer in answers] == [200, 200, 422]


async def test_server_reads_any_session_and_each_access_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Without the session's token, and also what phones are not shown; a person needs the token."""
    async with signed_in(RESULT_VISIBILITY="status") as scene:
        anna, server = scene.issuer.token(), scene.issuer.token(sub="shop", roles=ROLE)
        session = await scene.created(anna)
        await scene.broker.perform(session)
        path = f"sessions/{session['sessionId']}"
        with caplog.at_level(logging.INFO):
            read = await scene.send("GET", path, server)
            audited = await scene.send("GET", f"sessions/{session['sessionId'].upper()}/audit", server)
        pseudonym = await scene.broker.app.pseudonyms.of("principal", f"{scene.issuer.url} shop")
        refused = await scene.send("GET", path, anna)
        revoked = await scene.send("DELETE", path, server)
        shown = await scene.of(session, "GET", anna)

    assert (read.json()["passed"], audited.status_code) == (True, 200)
    assert "passed" not in shown.json()
    assert (refused.status_code, revoked.status_code) == (404, 404)
    events = [json.loads(record.getMessage()) for record in caplog.records if record.getMessage()[:1] == "{"]
    accesses = [event for event in events if event["event"] == "session_accessed_by_server"]
    assert [(event["sessionId"], event["caller"]) for event in accesses] == [
        (session["sessionId"], pseudonym)
    ] * 2
    assert [event["requestId"] for event in accesses] == [
        answer.headers["x-ms-request-id"] for answer in (read, audited)
    ]


async def test_server_creates_for_a_person_who_is_named_in_the_event_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The session is the server's: a caller who happens to have that name cannot read it. The log has pseudonyms."""
    async with signed_in() as scene:
        person = f"{scene.issuer.url} anna"
        server = scene.issuer.token(sub="shop", roles=ROLE)
        with caplog.at_level(logging.INFO):
            session = await scene.created(server, {"onBehalfOf": person})
        assert (await scene.of(session, "GET", scene.issuer.token())).status_code == 404
        assert (await scene.of(session, "GET", server)).status_code == 200
        event = await event_of(scene.broker, session)

    assert event["data"]["principal"] == person
    [created] = [
        message for message in map(logging.LogRecord.getMessage, caplog.records) if "_created" in message
    ]
    assert json.loads(created)["onBehalfOf"] is True
    assert person not in caplog.text


async def test_limit_of_a_transaction_holds_for_all_grants_for_it() -> None:
    """A reference in a body counts for its sender alone: neither grants nor other callers are refused for it."""
    async with signed_in(THROTTLE_REFERENCE="1/d", CLIENT_REFERENCE="caller") as scene:
        mallory = scene.issuer.token(sub="mallory")
        grants = [scene.issuer.token(sub=name, client_reference=ORDER) for name in ("bert", "carl")]
        statuses = [
            (await scene.create(token, fields=fields)).status_code
            for token, fields in (
                (mallory, NAMED),
                (mallory, NAMED),
                (scene.issuer.token(), NAMED),
                (grants[0], {}),
                (grants[1], {}),
                (scene.issuer.token(sub="carl", client_reference="order:2"), {}),
            )
        ]
    async with running_broker(THROTTLE_REFERENCE="1/d") as broker:
        statuses += [(await broker.create(device, **NAMED)).status_code for device in ("a", "b")]

    assert statuses == [200, 429, 200, 200, 429, 200, 200, 200]


async def test_persons_of_a_server_have_limits_of_their_own() -> None:
    """Both of sessions and of failed checks: one person's failures do not stop the others."""
    async with signed_in(THROTTLE_PRINCIPAL="2/10m", THROTTLE_FAILURES="1/30m") as scene:
        server = scene.issuer.token(sub="shop", roles=ROLE)

        async def create(person: str, device: str) -> httpx.Response:
            return await scene.create(server, device, {"onBehalfOf": person})

        for number in range(2):
            assert (await create("anna", f"a-{number}")).status_code == 200
        assert (await create("anna", "a-2")).json()["error"]["code"] == "ClientThrottled"
        other = scene.issuer.token(sub="another shop", roles=ROLE)
        assert (await scene.create(other, "a-2", {"onBehalfOf": "anna"})).status_code == 200
        failing = (await create("bert", "b-1")).json()
        await event_of(scene.broker, failing, "spoofface")
        assert (await create("bert", "b-2")).json()["error"]["code"] == "ClientThrottled"
        assert (await create("carl", "c-1")).status_code == 200


async def test_server_that_names_itself_has_one_set_of_limits() -> None:
    """Its failed checks refuse its creates, whether or not it names itself."""
    async with signed_in(THROTTLE_FAILURES="1/30m") as scene:
        server, own = scene.issuer.token(sub="shop", roles=ROLE), {"onBehalfOf": f"{scene.issuer.url} shop"}
        failing = (await scene.create(server, "a", own)).json()
        await event_of(scene.broker, failing, "spoofface")
        answers = [await scene.create(server, device, fields) for device, fields in (("b", own), ("c", {}))]

    assert [answer.status_code for answer in answers] == [429, 429]
