"""The pages in `docs/` agree with the commands, the logs and the alerts."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ops.access import QUEUE_READER, QUEUE_WRITER, TABLE_READER, TABLE_WRITER
from ops.command_line import parse
from tests.architecture.source_tree import tracked
from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import parameters_of
from tests.ops.logged_events import logged_events
from tests.ops.shell import UNKNOWN, add_az

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = ("EventGrid Data Sender", "Key Vault Secrets User")
PAGES = {path.name: path.read_text("utf-8") for path in DOCS.glob("*.md")}
# In blocks, after a prompt or not, and in the text.
_COMMAND = re.compile(r"(?:^ *(?:\$ )?|`)python3? -m ops ([^`\n]+)", re.MULTILINE)
COMMANDS = {name: sorted(set(_COMMAND.findall(text))) for name, text in PAGES.items()}


def section(title: str, page: str = "operations.md") -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#+ ", PAGES[page].split(f"# {title}\n")[1], flags=re.MULTILINE)[0]


def test_each_logged_event_is_described_with_its_level() -> None:
    """The table has exactly the events that the code logs, with their levels."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Logs"), re.MULTILINE)

    assert {name: set(levels.split(", ")) for name, levels in rows} == logged_events()


def test_each_alert_is_explained_with_its_severity() -> None:
    """All that are deployed: over logs, over metrics, and of what asks from outside."""
    prod = Snapshot.load(parameters_of("prod").with_suffix(".snapshot.json"))
    kinds = ("Microsoft.Insights/scheduledQueryRules", "Microsoft.Insights/metricAlerts")
    rows = re.findall(r"^\| `([\w-]+)` \| (\d) \|", section("When an alert comes"), re.MULTILINE)
    alerts = {alert["name"]: alert for kind in kinds for alert in prod.find(kind)}

    assert {name: int(severity) for name, severity in rows} == {
        name: alert["properties"]["severity"] for name, alert in alerts.items()
    }


@pytest.mark.parametrize("command", sorted({command for found in COMMANDS.values() for command in found}))
def test_each_printed_command_is_understood(command: str) -> None:
    """Commands can be copied."""
    assert parse(shlex.split(command.replace(" ID", f" {UNKNOWN}"))).noun


def test_operators_find_each_command_and_the_roles_that_errors_name() -> None:
    """An operator who follows the page has the roles that the commands need."""
    shown = {" ".join(command.split()[:2]) for command in COMMANDS["operations.md"]}

    assert shown >= {"poison list", "poison replay", "poison drop", "events republish", "preflight --url"}
    assert shown >= {"session show", "session collect", "session erase", "device show", "device reset"}
    for role in (QUEUE_READER, QUEUE_WRITER, TABLE_READER, TABLE_WRITER, *ELSEWHERE):
        assert role in section("The commands")


def test_pepper_is_rotated_by_what_the_page_prints(tmp_path: Path) -> None:
    """In three steps; the made-up Azure CLI keeps what it reads from standard input in a file."""
    secret = tmp_path / "secret"
    secret.write_text("old")
    show = f'if [ "$3" = show ]; then cat {secret}; exit; fi'
    add_az(tmp_path, f"{show}\ncat > {secret}")
    functions, *steps = re.findall(
        r"^```sh\n(.*?)^```", section("Rotating the pepper"), re.MULTILINE | re.DOTALL
    )
    values = []
    for step in steps:
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run(["/bin/sh", "-ec", functions + step], env=environment, check=True)  # noqa: S603 - ours.
        values.append(secret.read_text())

    new = values[-1]
    assert re.fullmatch("[0-9a-f]{64}", new)
    assert values == [f"old,{new}", f"{new},old", new]


@pytest.mark.parametrize("path", [path for path in tracked() if path.endswith(".md")])
def test_every_link_leads_somewhere(path: str) -> None:
    """Links to files and to headings have a target."""
    page = DOCS.parent / path
    for target in re.findall(r"\]\((?!https://)([^)]+)\)", page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not heading or heading in _anchors(linked.read_text("utf-8")), target


def _anchors(page: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}
