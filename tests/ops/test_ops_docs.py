"""docs/operations.md agrees with the commands, the logs and the alerts."""

import re
import shlex
from pathlib import Path

import pytest

from ops.access import QUEUE_READER, QUEUE_WRITER, TABLE_READER, TABLE_WRITER
from ops.command_line import parse
from tests.infra.rules import ALERTS
from tests.ops.logged_events import logged_events
from tests.ops.shell import UNKNOWN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
# In blocks, after a prompt or not, and in the text.
_COMMAND = re.compile(r"(?:^ *(?:\$ )?|`)python3? -m ops ([^`\n]+)", re.MULTILINE)
COMMANDS = sorted(set(_COMMAND.findall(PAGE)))
COMMANDS_FOR_CONSUMERS = _COMMAND.findall((ROOT / "docs/events.md").read_text("utf-8"))


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


def table_of(title: str) -> list[list[str]]:
    """Return the rows of the table in a section, as cells, without its head."""
    rows = section(title).partition("| --- |")[2].splitlines()[1:]
    return [line.strip("| ").split(" | ") for line in rows if line.startswith("| ")]


def test_each_logged_event_is_described_with_its_level() -> None:
    """The table has exactly the events that the code logs, with their levels."""
    table = {row[0].strip("`"): set(row[1].split(", ")) for row in table_of("Logs")}

    assert table == logged_events()


def test_each_alert_is_explained() -> None:
    """Alerts over logs and the one over a metric."""
    assert {row[0].strip("`") for row in table_of("When an alert comes")} == {*ALERTS, "dead-letters"}


@pytest.mark.parametrize("command", [*COMMANDS, *COMMANDS_FOR_CONSUMERS])
def test_each_printed_command_is_understood(command: str) -> None:
    """Commands can be copied."""
    assert parse(shlex.split(command.replace(" ID", f" {UNKNOWN}"))).noun


def test_each_command_is_shown() -> None:
    """An operator finds all of them on the page."""
    shown = {tuple(command.split()[:2]) for command in COMMANDS}

    assert shown >= {
        ("poison", "list"),
        ("poison", "replay"),
        ("poison", "drop"),
        ("events", "republish"),
        ("session", "show"),
        ("session", "collect"),
        ("preflight", "--url"),
    }


def test_roles_are_those_that_errors_name() -> None:
    """An operator who follows the page has the roles that the commands need."""
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
