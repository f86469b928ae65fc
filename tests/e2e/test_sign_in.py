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


@pytest.mark.parametrize(
    "limits",
    [
        {"THROTTLE_DEVICE": "1/10m", "THROTTLE_FAILURES": "off"},
        {"THROTTLE_DEVICE": "off", "THROTTLE_FAILURES": "1/30m"},
    ],
    ids=["sessions", "failed checks"],
)
async def test_device_of_one_caller_is_not_locked_by_another(limits: dict[str, str]) -> None:
    """A stranger who knows the id of a device cannot use up its limits of sessions or of failed checks."""
    async with signed_in(**limits) as scene:
        anna, mallory = scene.issuer.token(), scene.issuer.token(sub="mallory")
        session = await scene.created(mallory)
        await scene.broker.perform(session, outcome="spoofface")
        await scene.of(session, "GET", mallory)
        assert (await scene.create(mallory)).json()["error"]["code"] == "DeviceThrottled"

        assert (await scene.create(anna)).status_code == 200
    stored = await scene.broker.app.sessions.reload(session["sessionId"])
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


def bad_token(scene: Scene, kind: str) -> str:
    if kind == "malformed":
        return "a.b.c"
    if kind == "unknown key":
        key = private_key("attacker")
        return scene.issuer.signed(scene.issuer.claims(), headers={"kid": "nope"}, key=key)
    token = scene.issuer.token()
    scene.broker.clock.advance_seconds(661)
    return token


@pytest.mark.parametrize(
    ("kind", "statuses", "problem"),
    [
        ("malformed", [401, 401, 401, 429], "is not valid"),
        # It may be good: the key may be newer than those that are known.
        ("unknown key", [401, 503, 503, 429], "is not valid"),
        # Its phone has to hear that it needs a new token, whatever others at its address send.
        ("expired", [401, 401, 401, 401], "expired"),
    ],
)
async def test_bad_tokens_are_charged_to_their_address(kind: str, statuses: list[int], problem: str) -> None:
    """Guessing is limited, and neither good tokens nor another address are disturbed."""
    async with signed_in(CLIENT_ADDRESS="appservice", THROTTLE_MISSES="3/10m") as scene:
        token = bad_token(scene, kind)
        answers = [await scene.create(token, **FROM_HERE) for _ in range(4)]
        elsewhere = await scene.create(token, **FROM_THERE)
        session = await scene.created(scene.issuer.token(), **FROM_THERE)
        read = await scene.of(session, "GET", scene.issuer.token(), **FROM_HERE)

    assert [answer.status_code for answer in answers] == statuses
    require_unauthorized(answers[0], INVALID.replace("is not valid", problem))
    assert elsewhere.status_code == 401
    assert read.status_code == 200


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
