"""`ops device`: show how much of a device's limits is used, and clear it."""

import asyncio

import pytest

from create_session.use_case import Created, create_session
from shared.access import Caller
from shared.errors import DeviceThrottled
from shared.text import system_clock
from tests.ops.shell import Shell
from tests.support.app import app_of
from tests.support.broker import PEPPER
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock

ANNA = "https://issuer.example anna"


class Fleet:
    """An app over the shell's account; `sessions` are those of a device, or of Anna's, that used up its limit."""

    def __init__(self, shell: Shell, principal: str | None = None, pepper: str = PEPPER) -> None:
        self._shell, self._principal, self._pepper, self._face = shell, principal, pepper, FakeFace()
        self.sessions = [asyncio.run(self.create()) for _ in range(5)]

    async def create(self) -> Created:
        """Ask a new instance for a session, which caches nothing."""
        clock = FakeClock(system_clock())
        app = app_of(face=self._face, store=self._shell.store, clock=clock, ID_PEPPER=self._pepper)
        return await create_session(app, create_command(caller=Caller(self._principal)))

    def is_refused(self) -> bool:
        """Whether the next create would be."""
        try:
            asyncio.run(self.create())
        except DeviceThrottled:
            return True
        return False


@pytest.mark.parametrize(
    ("principal", "words", "rows"),
    [
        (None, ("a-device",), ["device"]),
        (ANNA, ("a-device", "--caller", ANNA), ["device", "principal"]),
        (ANNA, ("--session",), ["device", "principal"]),
    ],
    ids=["device", "device of a caller", "session"],
)
def test_device_that_is_locked_out_is_shown_and_cleared(
    shell: Shell, principal: str | None, words: tuple[str, ...], rows: list[str]
) -> None:
    """The limits are those of the environment, or the defaults. A dry run changes nothing."""
    fleet = Fleet(shell, principal)
    if words == ("--session",):
        words = ("--session", fleet.sessions[0].session_id)

    shown = shell.run("device", "show", *words, "--json").objects
    dry = shell.run("device", "reset", *words, "--dry-run", "--json").objects
    still_refused = fleet.is_refused()
    cleared = shell.run("device", "reset", *words, "--yes", "--json").objects

    assert [(line["limit"], line["window"], line["used"]) for line in shown[:3]] == [
        ("device", "5/10m", 5),
        ("device", "20/d", 5),
        ("failures", "5/30m", 0),
    ]
    assert [bool(line["freeAt"]) for line in shown[:3]] == [True, False, False]
    assert still_refused
    for lines, outcome in ((dry, "dry-run"), (cleared, "cleared")):
        assert [line["row"].partition("-")[0] for line in lines] == rows
        assert {line["outcome"] for line in lines} == {outcome}
    assert not fleet.is_refused()


@pytest.mark.parametrize("words", [("a-device", "--caller", ANNA), ("--session",)], ids=["device", "session"])
def test_rows_under_all_peppers_are_shown_and_cleared(shell: Shell, words: tuple[str, ...]) -> None:
    """While the pepper is rotated, each of them refuses."""
    fleet = Fleet(shell, ANNA, "old,new")
    shell.environment["ID_PEPPER"] = "new,old"
    if words == ("--session",):
        words = ("--session", fleet.sessions[0].session_id)

    shown = shell.run("device", "show", *words, "--json").objects
    text = shell.run("device", "show", *words).lines
    cleared = shell.run("device", "reset", *words, "--yes").lines

    headings = [line for line in text if not line.startswith("  ")]
    assert headings == list(dict.fromkeys(line["row"] for line in shown))
    assert len(headings) == 4
    assert [line["used"] for line in shown if line["window"] == "20/d"] == [5, 5]
    assert cleared[-1] == "4 rows cleared"
    assert not fleet.is_refused()


@pytest.mark.parametrize(
    ("overrides", "words", "windows"),
    [
        ("https://issuer.example device 7/h", (), ["7/h"]),
        ("https://issuer.example device 7/h; a-backend device 9/h", ("--limits-of", "a-backend"), ["9/h"]),
        ("a-backend device 9/h", (), ["5/10m", "20/d"]),
    ],
    ids=["issuer", "client id", "of others"],
)
@pytest.mark.parametrize("by_session", [False, True], ids=["device", "session"])
def test_limits_are_those_of_the_caller(
    shell: Shell, by_session: bool, overrides: str, words: tuple[str, ...], windows: list[str]
) -> None:
    """With the usual limits a device of a caller with higher ones would look locked out."""
    shell.environment["THROTTLE_OVERRIDES"] = overrides
    [created, *_] = Fleet(shell, ANNA).sessions
    which = ("--session", created.session_id) if by_session else ("a-device", "--caller", ANNA)

    shown = shell.run("device", "show", *which, *words, "--json").objects

    assert [line["window"] for line in shown if line["limit"] == "device"] == windows
    assert {line["used"] for line in shown if line["limit"] == "device"} == {5}


def test_pseudonym_in_a_log_names_the_device_too(shell: Shell) -> None:
    """Nobody has to know the id."""
    Fleet(shell)
    [line, *_] = shell.run("device", "show", "a-device", "--json").objects

    ended = shell.run("device", "show", line["row"].removeprefix("device-"))

    assert ended.lines[0] == line["row"]
    assert ended.lines[1].startswith("  device    5/10m   5 used, free at 20")
    assert ended.target


def test_device_without_rows_has_nothing_to_clear(shell: Shell) -> None:
    """Perhaps it is the device of a caller, which has to be named too."""
    shown = shell.run("device", "show", "another-device")
    ended = shell.run("device", "reset", "another-device")
    named = shell.run("device", "reset", "another-device", "--caller", ANNA)

    assert (ended.status, ended.lines) == (0, ["0 rows cleared"])
    hint = "ops: nothing found; where callers sign in, add --caller NAME"
    assert shown.errors == ended.errors == [hint]
    assert named.errors == []
