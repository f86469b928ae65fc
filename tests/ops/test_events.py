"""`ops events republish`: the same events again, to a file and to Event Grid."""

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp.connector
import pytest
import trustme

from ops.events import Republication
from ops.output import CommandFailed, Output, progress
from shared.errors import EventsUnavailable
from shared.events.cloud_event import event_of
from shared.face.model import LivenessDecision
from shared.sessions.record import EXPIRY_GRACE_MS, Step
from shared.storage.port import Table
from shared.text import LATEST, rfc3339
from tests.ops.shell import ENDED_AT, FORGED, OPEN, RETENTION_DAYS, UNKNOWN, Ended, Shell
from tests.shared.events import test_event_grid as event_grid
from tests.shared.events.event_grid_server import FakeTopic, error
from tests.shared.keys import conftest as azure
from tests.shared.keys.fake_azure import FakeVault
from tests.support.app import PSEUDONYMS
from tests.support.broker import PEPPER
from tests.support.publisher import FakePublisher
from tests.support.time import FakeClock, run_in_virtual_time

# A topic and a vault behind TLS, under names of Azure's own that lead to loopback, and the identity endpoint.
topic, endpoint = event_grid.topic, azure.endpoint
authority, vault = azure.authority, azure.vault


@pytest.fixture
def names(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> azure.Names:
    """Resolve names to loopback, and trust the authority, in the whole process: a command opens its own connections."""
    ports: azure.Names = {}
    resolve: Callable[..., Any] = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - of the library.
        found = ("127.0.0.1", ports[host]) if host in ports else (host, port)
        return resolve(*found, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    return ports


def republish(shell: Shell, *words: str) -> Ended:
    return shell.run("events", "republish", *words)


def between(start: int = 0, end: int = 60_000) -> tuple[str, ...]:
    """The options that select a range, in milliseconds after `ENDED_AT`."""
    return "--from", rfc3339(ENDED_AT + start), "--to", rfc3339(ENDED_AT + end)


def test_event_is_published_as_the_app_made_it_each_time(shell: Shell) -> None:
    """The line is the record's event to the letter, whatever region this machine has, and the record stays as it is."""
    records = [shell.add(completed_at=ENDED_AT + number) for number in range(20)]
    shell.environment["BROKER_REGION"] = "elsewhere"

    for _ in range(2):
        ended = republish(shell, *between())
        assert (ended.status, ended.errors) == (0, [])

    expected = [json.dumps(event_of(record), separators=(",", ":")) for record in records]
    assert sorted(shell.events()) == sorted(expected * 2)
    assert ended.lines[-1] == "20 events published, 0 for the first time"
    assert ended.target.endswith(f"; events go to {shell.environment['EVENTS_FILE']}")
    assert (shell.store.count("get"), shell.store.count("replace")) == (2 * 20, 0)
    assert republish(shell, "--session", records[0].session_id).status == 0
    assert shell.store.count("get") == 2 * 20 + 1, "each record is read once"


async def test_event_reaches_event_grid_over_tls(shell: Shell, topic: FakeTopic, vault: FakeVault) -> None:
    """The machine's identity opens the vault and the topic. What refuses is named, and the record not marked."""
    shell.environment |= {name: os.environ[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")}
    shell.environment |= {"PEPPER_SECRET": "a-pepper", "KEY_VAULT_URL": vault.url, "ID_PEPPER": ""}
    record = await asyncio.to_thread(shell.add, published_at=None)
    words = ("--session", record.session_id, "--topic", event_grid.URL)

    keyless = await asyncio.to_thread(republish, shell, *words)
    assert (keyless.status, topic.batches) == (1, [])
    assert keyless.errors[0].startswith(
        "ops: secret a-pepper: cannot be read with this login: Key Vault answered 404"
    )
    vault.secrets["a-pepper"] = f"{PEPPER},"
    halved = await asyncio.to_thread(republish, shell, *words)
    assert halved.errors[0].endswith("expected one value, or several different ones with commas between them")
    vault.secrets["a-pepper"] = PEPPER
    topic.trouble = error(403, "Forbidden")
    refused = await asyncio.to_thread(republish, shell, *words)
    topic.trouble = None
    published = await asyncio.to_thread(republish, shell, *words)

    assert refused.status == 1
    assert refused.errors[0].startswith(f"ops: session {record.session_id}: Event Grid answered 403: ")
    assert (published.status, published.lines[-1]) == (0, "1 event published, 1 for the first time")
    assert topic.batches == [[event_of(record)]]


def test_range_includes_its_start_and_excludes_its_end(shell: Shell) -> None:
    """Adjacent ranges select each event once, the oldest batch first. A session that has not ended is in no range."""
    at = {offset: shell.add(completed_at=ENDED_AT + offset).session_id for offset in reversed(range(-1, 42))}
    shell.add(**OPEN)

    ended = republish(shell, *between(0, 40), "--json")
    to_now = republish(shell, "--from", rfc3339(ENDED_AT + 40), "--json")

    shown = [found["sessionId"] for found in ended.objects]
    for first in (0, 16, 32):
        batch = range(first, min(first + 16, 40))
        assert set(shown[first : first + 16]) == {at[offset] for offset in batch}
    assert {found["time"] for found in ended.objects} == {rfc3339(ENDED_AT + offset) for offset in range(40)}
    assert {found["sessionId"] for found in to_now.objects} == {at[40], at[41]}


def test_long_work_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Every ten seconds, on stderr."""

    async def work() -> None:
        async with progress(lambda: "2 sessions found"):
            await asyncio.sleep(25)

    run_in_virtual_time(work())

    assert capsys.readouterr().err == "ops: 2 sessions found ...\n" * 2


def test_event_published_for_the_first_time_is_marked(shell: Shell) -> None:
    """The record keeps the app's retention, and the next time is a repetition.

    The outcome is settled first: a digest that the phone sends later could not change what the event said.
    """
    record = shell.add(published_at=None)

    for times in (1, 0):
        ended = republish(shell, "--session", record.session_id)
        assert ended.lines[-1] == f"1 event published, {times} for the first time"

    marked = shell.record(record.session_id)
    row = asyncio.run(shell.store.get(Table.SESSIONS, record.session_id))
    assert marked.published_at
    assert marked.history[-1] == (marked.published_at, Step.PUBLISHED)
    assert marked.settled
    assert row
    assert row.expires_at == record.created_at + RETENTION_DAYS * 86_400_000


def test_dry_run_publishes_and_marks_nothing(shell: Shell) -> None:
    """It shows what would be published, and needs nowhere to publish to."""
    record = shell.add(published_at=None)
    shell.environment["EVENTS_FILE"] = ""

    ended = republish(shell, *between(), "--dry-run")

    assert (ended.status, ended.lines[0].split()[0]) == (0, "dry-run")
    assert ended.lines[0].endswith(f"session {record.session_id}  (for the first time)")
    assert ended.lines[1] == "1 event would be published, 1 for the first time"
    assert "events go to" not in ended.target
    assert shell.record(record.session_id) == record


def test_session_that_is_open_or_waits_for_its_digest_has_no_event(shell: Shell) -> None:
    """It stays as it is, so that the digest still counts. Once the token has ended it is published."""
    open_id = shell.add(**OPEN).session_id
    waiting = {"digest_required": True, "digest_matches": None, "published_at": None}
    record = shell.add(token_expires_at=LATEST - EXPIRY_GRACE_MS, **waiting)

    unfinished = republish(shell, "--session", open_id)
    alone = republish(shell, "--session", record.session_id)
    ranged = republish(shell, *between(), "--json")

    assert (unfinished.status, alone.status) == (1, 1)
    assert unfinished.errors == [f"ops: session {open_id}: no event yet, its status is Started"]
    why = f"ops: session {record.session_id}: no event yet, the phone still has to send its digest"
    assert alone.errors == [why]
    assert (ranged.status, ranged.objects) == (0, [{"outcome": "waiting", "sessionId": record.session_id}])
    assert (shell.record(record.session_id), shell.events()) == (record, [])
    ended = shell.add(**waiting)
    assert republish(shell, "--session", ended.session_id).status == 0
    assert shell.record(ended.session_id).settled


def test_file_that_cannot_be_written_fails_and_names_the_session(shell: Shell) -> None:
    """The record is not marked; a script gets a line as well."""
    record = shell.add(published_at=None)
    shell.environment["EVENTS_FILE"] = str(shell.folder)

    ended = republish(shell, "--session", record.session_id, "--json")

    assert ended.status == 1
    assert ended.errors[0].startswith(f"ops: session {record.session_id}: the file for events")
    assert ended.errors[-1] == "ops: 1 event failed; see above, and try again"
    assert [(one["outcome"], one["sessionId"]) for one in ended.objects] == [("failed", record.session_id)]
    assert shell.record(record.session_id).published_at is None


AGAIN = "; see above, and try again"


@pytest.mark.parametrize(
    ("sessions", "failures", "forged", "published", "end"),
    [
        (20, 1, False, 19, f"1 event failed{AGAIN}"),
        (20, 0, True, 20, f"1 event failed{AGAIN}"),
        (40, 16, False, 0, f"16 events failed; stopped, because a whole batch failed{AGAIN}"),
    ],
    ids=["one-event", "one-record", "batch"],
)
def test_failures_are_named_and_only_a_batch_of_them_stops_the_run(
    shell: Shell,
    sessions: int,
    failures: int,
    forged: bool,
    published: int,
    end: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All are tried. After a whole batch failed the rest is not: each may take ten seconds to fail.

    A record that was edited into a pass is not published.
    """
    for _ in range(sessions):
        shell.add()
    if forged:
        shell.add(session_id=UNKNOWN, decision=LivenessDecision.SPOOFFACE)
        shell.edit(UNKNOWN, decision="realface")
    publisher = FakePublisher()
    publisher.fail("publish", *(EventsUnavailable("not now") for _ in range(failures)))
    republication = Republication(shell.store, PSEUDONYMS, publisher, FakeClock(), Output())

    with pytest.raises(CommandFailed, match=f"^{end}$"):
        asyncio.run(republication.of_range(ENDED_AT, ENDED_AT + 1))

    assert (len(publisher.events), publisher.count("publish")) == (published, published + failures)
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition(": session ")[2][38:] for line in lines} <= {FORGED if forged else "not now"}
    assert len(lines) == failures + forged


def test_nothing_is_published_without_the_key_of_the_records(shell: Shell) -> None:
    """Nobody can tell a forged record then, not even in a dry run."""
    record = shell.add()
    shell.environment["ID_PEPPER"] = ""

    for words in ((), ("--dry-run",)):
        ended = republish(shell, "--session", record.session_id, *words)
        assert (ended.status, ended.lines, shell.events()) == (2, [], [])
        assert len(ended.errors) == 1
        assert ended.errors[0].startswith("ops: no key to check the records with")
