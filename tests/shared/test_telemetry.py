"""Log lines, and what becomes of those that are logged after the end of their invocation."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from shared.errors import KeyUnavailable
from shared.keys.cache import RETRY_PAUSE, SOFT_LIFETIME, CachedSecret
from shared.release import Release
from shared.telemetry import BackgroundLog, Field, FloodLog, log_event, quiet_libraries
from tests.shared.keys.fake_secret import FakeSecret, settle
from tests.support.time import FakeClock

_log = logging.getLogger("shared.tests")
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return what was logged so far."""
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(line) for line in caplog.messages]


@pytest.mark.parametrize(
    "value", ["two\nlines", "\u2028", "\u202e", "\x1b[31m", "\r", "\x00", "\ud800", "é"], ids=ascii
)
def test_no_value_can_forge_a_line(value: str, caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks, direction marks and control characters come out escaped, in one line of ASCII."""
    caplog.set_level(logging.INFO)
    log_event(_log, logging.INFO, "an_event", detail=value)
    [line] = caplog.messages

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"event": "an_event", "detail": value}


def test_absent_fields_are_left_out(lines: Lines) -> None:
    """A field without a value says nothing; false and zero do."""
    log_event(_log, logging.INFO, "an_event", code=None, stale=False, attempt=0)

    assert lines() == [{"event": "an_event", "stale": False, "attempt": 0}]


def test_each_line_has_the_commit_that_runs(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    """While a roll-out lasts, two releases write to one place. A working directory has no commit."""
    monkeypatch.setattr("shared.telemetry.RELEASE", Release("1.0", "abc"))
    log_event(_log, logging.INFO, "an_event")

    assert lines() == [{"event": "an_event", "commit": "abc"}]


def test_libraries_do_not_log_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs would write URLs with session ids, and header fields, at INFO and DEBUG."""
    names = ("azure", "msal")
    for name in names:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)

    quiet_libraries()

    assert [logging.getLogger(name).level for name in names] == [logging.WARNING] * 2


class HostLog(logging.Handler):
    """Takes log lines as worker and host do: a line outside of an invocation, or after its end, is dropped."""

    running: ContextVar[list[str] | None] = ContextVar("running", default=None)

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Run an invocation. A task that it starts belongs to it, as with the worker's task factory."""
        alive = [""]
        token = self.running.set(alive)
        yield
        alive.clear()
        self.running.reset(token)

    def emit(self, record: logging.LogRecord) -> None:
        if self.running.get():
            self.taken.append(record.getMessage())


@pytest.fixture
def host_log() -> Iterator[HostLog]:
    """Let the host alone take the lines of our loggers."""
    handler, logger = HostLog(), logging.getLogger("shared")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_failed_background_refresh_is_logged_by_the_next_request(host_log: HostLog) -> None:
    """Its own invocation has ended by then: the host would drop the line, and the alert on it would not fire."""
    clock, secret = FakeClock(), FakeSecret()
    background_log = BackgroundLog(clock)
    cache = CachedSecret(secret.read, name="face-key", clock=clock)

    async def request() -> None:
        with host_log.invocation(), background_log.invocation():
            await cache.get()

    await request()
    secret.break_down(KeyUnavailable("the vault hangs"))
    secret.gate.clear()
    clock.advance_ms(2 * SOFT_LIFETIME)
    await request()
    secret.gate.set()
    await settle()
    assert host_log.taken == []
    clock.advance_ms(RETRY_PAUSE - 1)
    await request()
    await request()

    [line] = host_log.taken
    failed = {"event": "secret_read_failed", "secret": "face-key", "detail": "the vault hangs"}
    assert json.loads(line) == failed | {"serving_stale": True, "at": "2027-01-15T08:30:00.000Z"}


async def test_lines_of_running_invocations_are_written_at_once_and_of_late_ones_the_newest_kept(
    host_log: HostLog,
) -> None:
    """An invocation that runs takes the lines of its tasks; a flood of late lines takes no memory."""
    background_log, ended = BackgroundLog(FakeClock()), asyncio.Event()

    async def work() -> None:
        log_event(_log, logging.WARNING, "in_time")
        await ended.wait()
        for number in range(1000):
            log_event(_log, logging.WARNING, "late", number=number)

    with host_log.invocation(), background_log.invocation():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
    assert [json.loads(line) for line in host_log.taken] == [{"event": "in_time"}]
    ended.set()
    await task
    with host_log.invocation():
        with background_log.invocation():
            pass
        log_event(_log, logging.WARNING, "request_ended")
    assert [json.loads(line).get("number") for line in host_log.taken[1:]] == [*range(900, 1000), None]


def counted(lines: list[dict[str, Any]], field: str) -> Counter[str]:
    """How many requests the lines stand for, by the value of a field."""
    counts = Counter[str]()
    for line in lines:
        counts[line[field]] += line.get("times", 1)
    return counts


@pytest.mark.parametrize("addresses", [40, 2_500])
def test_flood_is_a_few_lines_and_each_code_keeps_its_count(addresses: int, lines: Lines) -> None:
    """Ten minutes of 60 requests a second. An alert counts by code; a line for several senders names none of them."""
    clock, sent = FakeClock(), Counter[str]()
    flood_log = FloodLog(clock)
    for number in range(36_000):
        code, address = f"code-{number % 7 % 2}", f"address-{number % addresses}"
        fields: dict[str, Field] = {"code": code, "address": address, "requestId": f"request-{number}"}
        flood_log.write(_log, logging.INFO, "request_refused", (code,), address, **fields)
        sent[code] += 1
        clock.advance_ms(1000 // 60)
    clock.advance_seconds(60)
    flood_log.write(_log, logging.INFO, "request_refused", ("code-0",), "another")

    *written, _ = lines()
    assert counted(written, "code") == sent
    assert len(written) <= 10 * 102


def test_flood_of_one_event_leaves_the_lines_of_others(lines: Lines) -> None:
    """Many who are refused hide no failure of a dependency, and the next minute has lines of its own."""
    clock = FakeClock()
    flood_log = FloodLog(clock)
    for number in range(1_000):
        flood_log.write(_log, logging.INFO, "request_refused", (), f"address-{number}", address="a")
    flood_log.write(_log, logging.INFO, "dependency_failed", (), "b", address="b")
    clock.advance_seconds(60)
    flood_log.write(_log, logging.INFO, "request_refused", (), "c", address="c")

    assert lines()[100:] == [
        {"event": "dependency_failed", "address": "b"},
        {"event": "request_refused", "times": 900},
        {"event": "request_refused", "address": "c"},
    ]


def test_kind_without_senders_keeps_its_fields_beyond_the_limit(lines: Lines) -> None:
    """Who read which session is known however many were read in the minute: it counts lines, and merges none."""
    clock = FakeClock()
    flood_log = FloodLog(clock)
    for number in range(400):
        kind = ("shop", f"session-{number % 200}")
        flood_log.write(_log, logging.INFO, "read", kind, None, caller=kind[0], sessionId=kind[1])
    clock.advance_seconds(60)
    flood_log.write(_log, logging.INFO, "another", (), None)

    *written, _ = lines()
    assert {line["caller"] for line in written} == {"shop"}
    assert counted(written, "sessionId") == {f"session-{number}": 2 for number in range(200)}
