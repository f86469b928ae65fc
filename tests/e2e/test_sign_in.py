"""Callers who sign in, over HTTP: what a token opens, what it does not, and what happens without its issuer."""

import asyncio
import json
import logging
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.text import system_clock
from tests.clients.services import program
from tests.e2e.signed_in import ROLE, Scene, signed_in
from tests.support.broker import FUNCTION_KEY, running_broker
from tests.support.issuer import private_key
from tests.support.time import FakeClock

CHALLENGE = 'Bearer realm="liveness"'
INVALID = f'{CHALLENGE}, error="invalid_token", error_description="The access token is not valid."'
FROM_HERE = {"client-ip": "203.0.113.7:50123"}
FROM_THERE = {"client-ip": "198.51.100.9:50123"}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with signed_in() as running:
        yield running


def require_unauthorized(answer: httpx.Response, challenge: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (401, "Unauthorized")
    assert answer.headers["x-ms-error-code"] == "Unauthorized"
    assert answer.headers["WWW-Authenticate"] == challenge


async def test_whole_check_of_a_signed_in_person(scene: Scene) -> None:
    """From the create to the record: the event can tell the caller's name, and rows find its pseudonym."""
    anna = scene.issuer.token()
    session = await scene.created(anna)
    await scene.broker.perform(session)
    scene.broker.clock.advance_seconds(1)
    result = await scene.of(session, "GET", anna)
    revoked = await scene.of(session, "DELETE", anna)

    assert (result.json()["passed"], revoked.status_code) == (True, 204)
    stored = await scene.broker.app.sessions.get(session["sessionId"])
    assert stored is not None
    name = f"{scene.issuer.url} anna"
    assert stored.record.principal == name
    assert stored.record.caller == await scene.broker.app.pseudonyms.of("principal", name)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "sessions"),
        ("GET", "sessions/b12e033e-bda7-4b83-a211-e721c661f30e"),
        ("DELETE", "sessions/b12e033e-bda7-4b83-a211-e721c661f30e"),
        ("GET", "sessions/b12e033e-bda7-4b83-a211-e721c661f30e/audit"),
    ],
)
async def test_nothing_is_done_without_a_good_token(scene: Scene, method: str, path: str) -> None:
    """Not even the request is read: no fault of it is told, and neither store nor Face is asked."""
    key = {"x-functions-key": FUNCTION_KEY}
    for token, challenge in ((None, CHALLENGE), ("a.b.c", INVALID)):
        answer = await scene.send(method, path, token, body={"x": "y" * 5000}, **key)
        require_unauthorized(answer, challenge)

    assert sum(scene.broker.simulator.calls.values()) == 0


async def test_expired_token_is_told_so(scene: Scene) -> None:
    """The app on the phone gets a new one."""
    token = scene.issuer.token()
    scene.broker.clock.advance_seconds(661)

    answer = await scene.create(token)

    require_unauthorized(answer, INVALID.replace("is not valid", "expired"))


async def test_header_of_easy_auth_signs_nobody_in(scene: Scene) -> None:
    """Anybody can write it where the platform's own sign-in is not in front."""
    claims = {"X-MS-CLIENT-PRINCIPAL": "e30=", "X-MS-CLIENT-PRINCIPAL-ID": "anna"}

    require_unauthorized(await scene.create(None, **claims), CHALLENGE)


@pytest.mark.parametrize(
    ("path", "status"), [("health", 200), ("ready", 200), ("nothing", 404), ("sessions", 405)]
)
async def test_open_routes_stay_open(scene: Scene, path: str, status: int) -> None:
    """Load balancers and operators have no token, and an unknown path tells nothing."""
    for token in (None, "a.b.c"):
        answer = await scene.send("GET", path, token, **{"x-functions-key": FUNCTION_KEY})
        assert answer.status_code == status


async def test_limit_of_a_caller_counts_over_its_devices() -> None:
    """Another caller is not disturbed."""
    async with signed_in(THROTTLE_PRINCIPAL="2/10m") as scene:
        anna, bert = scene.issuer.token(), scene.issuer.token(sub="bert")
        answers = [await scene.create(anna, device=f"device-{number}") for number in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error"]["code"] == "ClientThrottled"
        assert (await scene.create(bert)).status_code == 200


@pytest.mark.parametrize(
    "limits",
    [
        {"THROTTLE_DEVICE": "1/10m", "THROTTLE_FAILURES": "off"},
        {"THROTTLE_DEVICE": "off", "THROTTLE_FAILURES": "1/30m"},
    ],
    ids=["sessions", "failed checks"],
)
async def test_device_of_one_caller_is_not_locked_by_another(limits: dict[str, str]) -> None:
    """Whoever knows the id of a device cannot use up its limits: neither of sessions nor of failed checks."""
    async with signed_in(**limits) as scene:
        anna, mallory = scene.issuer.token(), scene.issuer.token(sub="mallory")
        session = await scene.created(mallory)
        await scene.broker.perform(session, outcome="spoofface")
        await scene.of(session, "GET", mallory)
        assert (await scene.create(mallory)).json()["error"]["code"] == "DeviceThrottled"

        assert (await scene.create(anna)).status_code == 200
    stored = await scene.broker.app.sessions.get(session["sessionId"])
    assert stored is not None
    name = f"{scene.issuer.url} mallory"
    assert stored.record.device == await scene.broker.app.pseudonyms.of("device", name, "a-device")


async def test_session_from_before_sign_in_is_read_by_its_token(scene: Scene) -> None:
    """Until it ends; its token alone counts, and a caller has to be signed in all the same."""
    anna, sessions = scene.issuer.token(), scene.broker.app.sessions
    session = await scene.created(anna)
    stored = await sessions.reload(session["sessionId"])
    await sessions.replace(stored, replace(stored.record, caller=None, principal=None))

    bert = scene.issuer.token(sub="bert")
    assert (await scene.of(session, "GET", bert)).status_code == 200
    assert (await scene.of(session | {"authToken": "guess"}, "GET", anna)).status_code == 404
    require_unauthorized(await scene.of(session, "GET", None), CHALLENGE)
    scene.broker.clock.advance_seconds(600 + 121)
    bert = scene.issuer.token(sub="bert")
    assert [(await scene.of(session, method, bert)).status_code for method in ("GET", "DELETE")] == [404, 404]


async def test_audit_is_for_servers_with_the_role(scene: Scene) -> None:
    """A person is forbidden, also for an own session and with a function key. A server needs no key."""
    anna, server = scene.issuer.token(), scene.issuer.token(sub="shop", roles=ROLE)
    session = await scene.created(anna)
    path, key = f"sessions/{session['sessionId']}/audit", {"x-functions-key": FUNCTION_KEY}

    forbidden = await scene.send("GET", path, anna, **key)
    allowed = await scene.send("GET", path, server)

    assert (forbidden.status_code, forbidden.json()["error"]["code"]) == (403, "Forbidden")
    assert forbidden.headers["WWW-Authenticate"] == f'{CHALLENGE}, error="insufficient_scope"'
    assert allowed.status_code == 200


async def test_bad_tokens_are_charged_to_their_address() -> None:
    """Guessing is limited, and neither good tokens nor another address are disturbed."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="3/10m") as scene:
        answers = [await scene.create("a.b.c", **FROM_HERE) for _ in range(4)]
        elsewhere = await scene.create("a.b.c", **{"client-ip": "203.0.113.8"})
        session = await scene.created(scene.issuer.token(), **{"client-ip": "203.0.113.8"})
        read = await scene.send(
            "GET",
            f"sessions/{session['sessionId']}",
            scene.issuer.token(),
            **FROM_HERE,
            **{"X-Session-Token": session["authToken"]},
        )

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[3].json()["error"]["code"] == "ClientThrottled"
    assert (elsewhere.status_code, read.status_code) == (401, 200)


async def test_keys_rotate_while_requests_run_and_forged_tokens_come() -> None:
    """A stranger sends unknown key ids all the time. No request with a good token fails, before and after."""
    limits = dict.fromkeys(("THROTTLE_DEVICE", "THROTTLE_PRINCIPAL", "THROTTLE_CLIENT"), "off")
    async with signed_in(CLIENT_ADDRESS="appservice", **limits) as scene:
        key = private_key("attacker")
        for second in range(40):
            if second in (5, 20):
                scene.issuer.rotate(f"key-of-second-{second}")
            forged = scene.issuer.signed(scene.issuer.claims(), headers={"kid": f"made-up-{second}"}, key=key)
            strange, *good = await asyncio.gather(
                scene.create(forged, **FROM_THERE),
                *[scene.create(scene.issuer.token(), **FROM_HERE) for _ in range(3)],
            )
            assert strange.status_code in (401, 503)
            assert [answer.status_code for answer in good] == [200] * 3
            scene.broker.clock.advance_seconds(1)


async def test_tokens_with_unknown_keys_are_charged_to_their_address() -> None:
    """Also those that are answered 503, because they may be good."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="3/10m") as scene:
        forged = scene.issuer.signed(
            scene.issuer.claims(), headers={"kid": "nope"}, key=private_key("attacker")
        )
        answers = [await scene.create(forged, **FROM_HERE) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [401, 503, 503, 429]


async def test_issuer_that_is_down_is_our_trouble(caplog: pytest.LogCaptureFixture) -> None:
    """503 that says when to come back; log and `ready` name the issuer; nobody is charged; it needs no restart."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="1/10m") as scene:
        await scene.issuer.stop()
        with caplog.at_level(logging.WARNING):
            answers = [await scene.create(scene.issuer.token(), **FROM_HERE) for _ in range(3)]
        not_ready = await scene.send("GET", "ready", None, **{"x-functions-key": FUNCTION_KEY})
        await scene.issuer.start()
        scene.broker.clock.advance_seconds(5)
        after = await scene.create(scene.issuer.token(), **FROM_HERE)
        ready = await scene.send("GET", "ready", None, **{"x-functions-key": FUNCTION_KEY})

    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "KeyUnavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= 5
        assert "WWW-Authenticate" not in answer.headers
        assert scene.issuer.url not in answer.text
    assert f"issuer {scene.issuer.url}: no answer" in caplog.text
    states = [answer.json()["dependencies"][-1] for answer in (not_ready, ready)]
    assert (not_ready.status_code, states[0]["name"], states[0]["state"]) == (503, "signIn", "unavailable")
    assert f"issuer {scene.issuer.url}: no answer" in states[0]["problem"]
    assert (after.status_code, ready.status_code, states[1]["state"]) == (200, 200, "available")


async def test_issuer_that_goes_down_later_stops_no_known_key() -> None:
    """The keys in memory serve. A token with a newer key may be good, and is told to come back."""
    async with signed_in() as scene:
        await scene.created(scene.issuer.token())
        await scene.issuer.stop()
        scene.broker.clock.advance_seconds(3600)
        known = await scene.create(scene.issuer.token())
        scene.issuer.rotate("key-2")
        newer = await scene.create(scene.issuer.token())
        await scene.issuer.start()
        scene.broker.clock.advance_seconds(30)
        after = await scene.create(scene.issuer.token())

    assert (known.status_code, newer.status_code, after.status_code) == (200, 503, 200)
    assert (newer.json()["error"]["code"], newer.headers["Retry-After"]) == ("KeyUnavailable", "30")


async def test_backend_signs_with_a_secret() -> None:
    """Locally the secret is a setting."""
    secret = "a-secret-of-a-backend-for-the-tests"
    settings = {"AUTH_ISSUER": "", "AUTH_SECRET_NAME": "backend", "AUTH_SECRET": secret}
    async with signed_in(**settings) as scene:
        claims = scene.issuer.claims(iss="backend", sub="shop")
        token = scene.issuer.signed(claims, key=secret, algorithm="HS256")

        session = await scene.created(token)

        require_unauthorized(await scene.create(scene.issuer.token()), INVALID)
        stored = await scene.broker.app.sessions.get(session["sessionId"])
    assert stored is not None
    assert stored.record.principal == "backend shop"


_BACKEND_SECRET = "a-secret-of-a-backend-for-the-tests"


def _signed_by_python(sample: str) -> str:
    values: dict[str, Any] = {"secret": _BACKEND_SECRET}
    exec(sample, values)  # noqa: S102 - our own page.
    return str(values["token"])


def _signed_by_node(sample: str) -> str:
    script = f'const secret = "{_BACKEND_SECRET}";\n{sample}\nprocess.stdout.write(token);'
    command = [program("node"), "--input-type=module", "--eval", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own page.


@pytest.mark.parametrize(("language", "sign"), [("python", _signed_by_python), ("js", _signed_by_node)])
async def test_printed_token_of_a_backend_signs_in(language: str, sign: Callable[[str], str]) -> None:
    """The samples in docs/servers.md, run as they are printed."""
    page = (Path(__file__).parents[2] / "docs/servers.md").read_text()
    [sample] = re.findall(f"```{language}\n(.*?)```", page, re.DOTALL)
    token = await asyncio.to_thread(sign, sample)
    auth = {"CLIENT_AUTH": "jwt", "AUTH_AUDIENCE": "api://liveness"}
    secret = {"AUTH_SECRET_NAME": "backend-key", "AUTH_SECRET": _BACKEND_SECRET}
    settings: dict[str, Any] = auth | secret

    async with running_broker(clock=FakeClock(system_clock()), **settings) as broker:
        assert broker.app.sign_in is not None
        caller = await broker.app.sign_in.caller(f"Bearer {token}", None)

    assert (caller.principal, caller.client_reference) == ("backend-key customer-7", "order:4711")


async def test_secret_of_a_backend_comes_from_the_vault(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the vault no token of the backend can be verified, and the log says which secret is missing."""
    # The identity endpoint of App Service, at a port where nobody listens.
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "some-header")
    settings = {"AUTH_SECRET_NAME": "backend-key", "KEY_VAULT_URL": "https://localhost:9"}
    async with signed_in(**settings) as scene:
        claims = scene.issuer.claims(iss="backend-key")
        token = scene.issuer.signed(claims, key="a-secret-that-is-not-read-" * 2, algorithm="HS256")
        with caplog.at_level(logging.WARNING):
            answer = await scene.create(token)

    assert answer.json()["error"]["code"] == "KeyUnavailable"
    read = [
        json.loads(record.getMessage()) for record in caplog.records if "secret_read" in record.getMessage()
    ]
    assert [event["secret"] for event in read] == ["backend-key"]


async def test_log_has_the_pseudonym_of_a_caller(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Neither name nor token is logged, of a request that went well and of one that was refused."""
    anna = scene.issuer.token(sub="canary-anna")
    with caplog.at_level(logging.DEBUG):
        await scene.created(anna)
        await scene.send("POST", "sessions", anna, body={})
        await scene.create(f"{anna}x")

    lines = [record.getMessage() for record in caplog.records if record.name.startswith("shared.")]
    events = [json.loads(line) for line in lines]
    caller = await scene.broker.app.pseudonyms.of("principal", f"{scene.issuer.url} canary-anna")
    known = [(event["event"], event.get("caller")) for event in events if "request" in event["event"]]
    assert known == [
        ("request_ended", caller),
        ("request_refused", caller),
        ("request_ended", caller),
        ("request_refused", None),
        ("request_ended", None),
    ]
    for secret in ("canary-anna", *anna.split(".")):
        assert secret not in "".join(lines)
