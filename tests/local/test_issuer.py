"""The issuer of local runs: its tokens sign callers in, as its commands promise."""

import asyncio
import json
import shlex
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.demonstration import demonstrate
from local.event_log import EventLog
from local.issuer import AUDIENCE, LocalIssuer
from shared.access import Caller
from shared.text import system_clock
from tests.local.test_run import PATIENCE_SECONDS, events_in, started, values
from tests.support.broker import running_broker
from tests.support.http import plain_client
from tests.support.publisher import FakePublisher
from tests.support.time import FakeClock


@pytest.fixture
async def issuer() -> AsyncIterator[LocalIssuer]:
    started = LocalIssuer()
    await started.start()
    yield started
    await started.stop()


def settings_of(issuer: LocalIssuer) -> dict[str, Any]:
    return {"CLIENT_AUTH": "jwt", "AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}


def clock_now() -> FakeClock:
    """A clock that agrees with the issuer's."""
    return FakeClock(system_clock())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("person", Caller("{url} anna", None, "{url}")),
        ("grant", Caller("{url} anna", None, "{url}", client_reference="order:4711")),
        ("server", Caller("{url} shop", None, "{url}", roles=frozenset({"Liveness.Operate"}))),
    ],
)
async def test_printed_command_gets_a_token_of_the_kind(
    issuer: LocalIssuer, name: str, expected: Caller
) -> None:
    """A broker that trusts the issuer takes it."""
    [command] = [line.split(maxsplit=1)[1] for line in issuer.introduction() if line.split()[0] == name]
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    answer = json.loads(printed)

    async with running_broker(clock=clock_now(), **settings_of(issuer)) as broker:
        assert broker.app.sign_in is not None
        caller = await broker.app.sign_in.caller(f"{answer['token_type']} {answer['access_token']}", None)

    assert caller.principal == (expected.principal or "").format(url=issuer.url)
    assert caller.issuer == issuer.url
    assert (caller.roles, caller.client_reference) == (expected.roles, expected.client_reference)
    assert answer["expires_in"] == 3600


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"sub": ""},
        {"client_reference": "order:1"},
        {"sub": "anna", "client_reference": "order 1"},
        {"sub": "anna", "client_reference": ""},
        {"sub": "anna", "client_reference": "x" * 129},
    ],
    ids=["nothing", "empty", "no subject", "blank in the grant", "empty grant", "long grant"],
)
async def test_form_that_breaks_a_rule_is_refused(issuer: LocalIssuer, form: dict[str, str]) -> None:
    """The error says what to send."""
    async with plain_client() as http:
        answer = await http.post(f"{issuer.url}/token", data=form)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "sub" in answer.json()["error_description"]


async def test_demonstration_that_does_not_sign_in_fails(
    issuer: LocalIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first call is a 401."""
    async with running_broker(clock=clock_now(), **settings_of(issuer)) as broker:
        urls = str(broker.http.base_url), str(broker.phone.base_url)
        assert not await demonstrate(*urls, EventLog(FakePublisher()), patience=0)

    assert "Failed: HTTP 401" in capsys.readouterr().out


def test_run_signs_in_and_prints_how(tmp_path: Path) -> None:
    """The whole command, with a check that goes well; a setting of the environment does not switch sign-in off."""
    with started("run", "--auth", "jwt", "--once", cwd=tmp_path, CLIENT_AUTH="none") as run:
        output, errors = run.communicate(timeout=PATIENCE_SECONDS)

    assert (run.returncode, errors) == (0, "")
    assert "callers    sign in with tokens of http://127.0.0.1:" in output
    [event] = events_in(tmp_path / ".local/events.jsonl")
    assert event["data"]["principal"].endswith(" anna")
    assert "403 Forbidden, target clientReference" in output
    assert "200, passed true" in output
    assert values(output, "clientReferenceFrom") == ["token"]
