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


VAULT = """
echo call >> calls
[ "$(wc -l < calls)" -eq "$FAILS_AT" ] && exit "$FAILS_WITH"
case "$3 $*" in
  show*tags.rotation*) cat tag ;;
  show*) cat secret ;;
  *) cat > secret; for word; do case "$word" in rotation=*) echo "${word#*=}" > tag ;; esac; done ;;
esac
"""
"""A made-up Azure CLI, which keeps the secret and its tag in files; one call may fail, or write nothing."""


class Vault:
    """The secret of a region, and what the page prints to change it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        add_az(folder, VAULT)
        (folder / "secret").write_text("old")
        (folder / "tag").write_text("none")
        blocks = re.findall(r"^```sh\n(.*?)^```", section("Rotating the pepper"), re.MULTILINE | re.DOTALL)
        self._functions, *self.steps = blocks

    @property
    def value(self) -> str:
        """What is stored."""
        return (self._folder / "secret").read_text()

    def run(self, step: str, fails_at: int = 0, fails_with: int = 0) -> bool:
        """Run a step; False where it says that it failed."""
        (self._folder / "calls").write_text("")
        environment = {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "FAILS_AT": str(fails_at),
            "FAILS_WITH": str(fails_with),
        }
        ended = subprocess.run(  # noqa: S603 - ours.
            ["/bin/sh", "-c", self._functions + step],
            cwd=self._folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return "failed" not in ended.stdout


def test_pepper_is_rotated_by_what_the_page_prints(tmp_path: Path) -> None:
    """In three steps, again and again. A step that is not the next one stores nothing."""
    vault, old = Vault(tmp_path), "old"
    for _ in range(2):
        values = []
        for number, step in enumerate(vault.steps):
            for other in vault.steps[:number] + vault.steps[number + 1 :]:
                before = vault.value
                assert (vault.run(other), vault.value) == (False, before)
            assert vault.run(step)
            values.append(vault.value)
        new = values[-1]
        assert re.fullmatch("[0-9a-f]{64}", new)
        assert values == [f"{old},{new}", f"{new},{old}", new]
        old = new


@pytest.mark.parametrize("fails_with", [0, 1], ids=["writes nothing", "fails"])
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_step_of_a_rotation_that_fails_stores_nothing(tmp_path: Path, fails_at: int, fails_with: int) -> None:
    """Whichever call of the Azure CLI it is, and it can be repeated."""
    vault = Vault(tmp_path)
    for step in vault.steps:
        before = vault.value
        assert vault.run(step, fails_at, fails_with) is (fails_at == 3 and fails_with == 0)
        assert vault.value == before
        assert vault.run(step)
        assert vault.value != before


def test_rotation_without_a_new_pepper_stores_nothing(tmp_path: Path) -> None:
    """The program that makes it may not be there, or not work. Nor is a third one added."""
    vault = Vault(tmp_path)
    openssl = tmp_path / "openssl"
    for script in ("exit 1", ":"):
        openssl.write_text(f"#!/bin/sh\n{script}\n")
        openssl.chmod(0o755)
        assert (vault.run(vault.steps[0]), vault.value) == (False, "old")
    openssl.unlink()
    (tmp_path / "secret").write_text("new,old")
    assert (vault.run(vault.steps[0]), vault.value) == (False, "new,old")


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
