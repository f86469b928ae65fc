"""All commands, by one table: their exit status, their JSON, their dry run and their question."""

import argparse
import asyncio
import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ops.command_line import make_parser
from shared.storage.port import Entity, Table
from tests.ops.shell import ENDED_AT, OPEN, UNKNOWN, Shell, collect_message

UNUSABLE = "44136fa355b3678a"
"""The id of the message `{}`."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command on the account of this test: the words that succeed and fail, its question, if it can only show."""

    words: str
    failing: str = ""
    asks: str = ""
    shows: bool = False


NOBODY = "99999999-0000-4000-8000-000000000000"
COMMANDS = (
    Command("poison list"),
    Command(f"poison show {UNUSABLE}", "poison show nothing"),
    Command("poison replay ID", "poison replay nothing", shows=True),
    Command(f"poison drop {UNUSABLE}", "poison drop nothing", asks="Drop 1 message?", shows=True),
    Command(f"session show {UNKNOWN}", f"session show {NOBODY}"),
    Command("session find --owed"),
    Command(f"session collect {UNKNOWN}", f"session collect {NOBODY}"),
    Command(
        f"session erase {UNKNOWN}",
        f"session erase {NOBODY}",
        asks="Erase 1 session, of which 1 will never tell an outcome, and 1 row of limits? This cannot be undone.",
        shows=True,
    ),
    Command(f"device show --session {UNKNOWN}", f"device show --session {NOBODY}"),
    Command(
        f"device reset --session {UNKNOWN}",
        f"device reset --session {NOBODY}",
        asks="Clear 1 row: device-a-pseudonym?",
        shows=True,
    ),
    Command("events republish --from -1h", f"events republish --session {UNKNOWN}", shows=True),
)
ELSEWHERE = {"preflight", "publish", "smoke", "drill"}
"""Commands that work on something else, which their own tests show."""


@pytest.fixture
def account(shell: Shell) -> Shell:
    """An account with an open session, the limits of its device, its poison message, and one that cannot be used."""
    shell.add(session_id=UNKNOWN, **OPEN)
    limits = Entity("device-a-pseudonym", {"created": "19aaf3d2c01"}, ENDED_AT)
    asyncio.run(shell.store.insert(Table.THROTTLE, limits))
    shell.poison.add(base64.b64encode(collect_message(UNKNOWN).encode()).decode())
    shell.poison.add(base64.b64encode(b"{}").decode())
    return shell


def words_of(text: str, account: Shell) -> list[str]:
    return text.replace("ID", account.poison.messages[0].message_id).split()


def state(account: Shell) -> object:
    """All that a command may change."""

    async def rows() -> list[object]:
        return [
            (entity.key, dict(entity.values))
            for table in Table
            async for entity in account.store.inner.expired(table, 2**53)
        ]

    return asyncio.run(rows()), list(account.poison.messages), account.results_messages(), account.events()


def answer(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """Put somebody at the terminal who answers this; None is a script, without a terminal."""
    terminal = io.StringIO(text or "")
    monkeypatch.setattr(terminal, "isatty", lambda: text is not None)
    monkeypatch.setattr("sys.stdin", terminal)


each = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words.split()[:2]))


@each
def test_command_names_its_target_and_ends_with_its_status(account: Shell, command: Command) -> None:
    """0 where all was done, as lines of JSON too; 1 where something failed; 2 without an account."""
    yes = ["--yes"] if command.asks else []
    if command.failing:
        failed = account.run(*words_of(command.failing, account), *yes)
        assert (failed.status, bool(failed.errors)) == (1, True)
    good = account.run(*words_of(command.words, account), *yes, "--json")
    account.environment["AzureWebJobsStorage"] = ""
    wrong = account.run(*command.words.split(), *yes)

    assert good.status == 0
    assert all(isinstance(json.loads(line), dict) for line in good.lines)
    assert good.target.startswith("storage account devstoreaccount1, ")
    assert "release unknown" in good.target
    assert (wrong.status, wrong.lines, wrong.target) == (2, [], "")


@each
def test_dry_run_changes_nothing(account: Shell, command: Command) -> None:
    """Where there is one. The commands that only read have none, and change nothing either."""
    before = state(account)

    ended = account.run(*words_of(command.words, account), *(["--dry-run"] if command.shows else []))

    assert ended.status == 0
    assert (state(account) == before) is (command.shows or "collect" not in command.words)
    assert "dry-run" in ended.lines[0] or not command.asks
    assert "would be" in ended.lines[-1] or not command.shows


@each
@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("y\n", 0, ""),
        ("\n", 1, "nothing was changed"),
        (None, 2, "ops: this destroys something, and nobody can be asked here: add --yes"),
    ],
    ids=["yes", "no", "script"],
)
def test_command_that_destroys_asks(
    account: Shell,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    text: str | None,
    status: int,
    error: str,
) -> None:
    """Any other answer than yes leaves all as it was, and a script has to say `--yes`. The others ask nobody."""
    answer(monkeypatch, text)
    before = state(account)

    ended = account.run(*words_of(command.words, account))

    asked = [line for line in ended.errors if "[y/N]" in line]
    assert bool(asked) is (bool(command.asks) and text is not None)
    assert all(line.startswith(f"ops: {command.asks} [y/N] ") for line in asked)
    assert ended.status == (status if command.asks else 0)
    if command.asks:
        assert (state(account) == before) is (status != 0)
        assert "device" in command.words or ended.lines[0].startswith("dry-run")
        assert any(line.endswith(error) for line in ended.errors)


def parsers(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parsers of all commands, by their names."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield name.strip(), parser
    for group in groups:
        for word, child in group.choices.items():
            yield from parsers(child, f"{name} {word}")


def test_table_has_each_command_and_each_writes_json() -> None:
    """A new command is in the table above, or has tests of its own."""
    found = dict(parsers(make_parser()))
    table = {" ".join(command.words.split()[:2]): command for command in COMMANDS}

    assert set(found) == set(table) | ELSEWHERE
    for name, parser in found.items():
        options = parser.format_help()
        assert "--json" in options, name
        if command := table.get(name):
            has = ("--yes" in options, "--dry-run" in options)
            assert has == (bool(command.asks), command.shows), name
