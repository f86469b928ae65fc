"""The page for operators, and whether what it says is so."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from local.ops.command_line import parse_ops
from local.ops.failures import QUEUE_READER, QUEUE_WRITER, TABLE_READER, TABLE_WRITER
from tests.infra.rules import ALERTS
from tests.ops.logged_events import events_in, logged_events

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
COMMANDS = [
    line.removeprefix("$ python -m local ")
    for line in PAGE.splitlines()
    if line.startswith("$ python -m local ")
]


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


def table_of(title: str) -> list[list[str]]:
    """The rows of the table in a section, as cells, without its head."""
    rows = section(title).partition("| --- |")[2].splitlines()[1:]
    return [line.strip("| ").split(" | ") for line in rows if line.startswith("| ")]


def test_each_logged_event_is_described_with_its_level() -> None:
    """The table of events has every event that the code logs, at its levels, and no other."""
    table = {row[0].strip("`"): set(row[1].split(", ")) for row in table_of("Logs")}

    assert table == logged_events()


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("log_event(log, logging.INFO, 'a')", {("a", "INFO")}),
        ("log_event(log, logging.INFO if x else logging.ERROR, 'a')", {("a", "INFO"), ("a", "ERROR")}),
        (
            "log_event(log, logging.INFO if x else logging.ERROR, 'a' if x else 'b')",
            {("a", "INFO"), ("b", "ERROR")},
        ),
        ("other(log, logging.INFO, 'a')", set()),
    ],
)
def test_events_are_found_in_code(call: str, found: set[tuple[str, str]]) -> None:
    """What the code says of a level under a condition is read, and not run."""
    assert set(events_in(ast.parse(call))) == found


def test_each_alert_is_explained() -> None:
    """Alerts over logs and the one over a metric."""
    assert {row[0].strip("`") for row in table_of("When an alert comes")} == {*ALERTS, "dead-letters"}


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_each_command_shown_is_understood(command: str) -> None:
    """Commands can be copied."""
    assert parse_ops(shlex.split(command)[1:]).command == "ops"


def test_each_command_there_is_is_shown() -> None:
    """None is left to be found out."""
    shown = {tuple(command.split()[1:3]) for command in COMMANDS}

    assert shown == {
        ("poison", "list"),
        ("poison", "replay"),
        ("poison", "drop"),
        ("events", "republish"),
        ("session", "show"),
        ("session", "collect"),
    }


def test_roles_are_those_that_errors_name() -> None:
    """Who follows the page gets the roles that the commands ask for."""
    for role in (QUEUE_READER, QUEUE_WRITER, TABLE_READER, TABLE_WRITER, "EventGrid Data Sender"):
        assert role in section("The commands")


def test_every_link_leads_somewhere() -> None:
    """Links to pages and to their headings have a target."""
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        name, _, heading = target.partition("#")
        page = (ROOT / "docs" / name).read_text("utf-8") if name else PAGE
        assert not heading or heading in _anchors(page), target


def _anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}
