"""The Makefile: what works with the make that macOS has, and what `make help` says."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def make(*arguments: str) -> str:
    """What make prints. `make test` runs this, and a make within a make would print its folder."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603


@pytest.mark.parametrize(
    "feature",
    [
        r"--output-sync|--trace|--shuffle|-O\b",
        r"^\.(ONESHELL|SHELLFLAGS|NOTINTERMEDIATE|LIBPATTERNS|EXTRA_PREREQS)",
        r"\$\((file|guile|let|intcmp) ",
        r"^\S+ *(!=|::=|:::=)|^ *(undefine|private|load) |^define \S+ *[:?+]?=",
        r"&:",
    ],
)
def test_nothing_is_newer_than_make_3_81(feature: str) -> None:
    """Apple ships GNU make 3.81. These came with 3.82, 4.0, 4.2, 4.3 and 4.4, as its NEWS file says."""
    assert re.findall(feature, MAKEFILE, re.MULTILINE) == []


def test_help_lists_each_target_with_a_description() -> None:
    """Targets that only others need start with `to-`, but for the one of the editor; or they are `tools`."""
    lines = make("help").splitlines()
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line[0] != " "}
    options = {line.split("=")[0].strip() for line in lines if line[0] == " "}
    [of_a_run] = re.findall(r"^RUN_OPTIONS = (.*\\\n.*)", MAKEFILE, re.MULTILINE)

    assert max(map(len, lines)) <= 120
    assert options == set(re.findall(r"--\S+ \$\((\w+)\)", of_a_run))
    for_others = {name for name in TARGETS if name.startswith("to-")} - {"to-develop"}
    assert set(listed) == TARGETS - for_others - {"tools"}
    assert {name for name, text in listed.items() if not text.endswith(".")} == set()


def test_each_target_runs_though_a_file_has_its_name() -> None:
    """A folder `tests` or a file `run` must not make a target do nothing."""
    [phony] = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)

    assert set(phony.replace("\\", "").split()) == TARGETS


def test_a_run_installs_what_running_needs_alone() -> None:
    """What is for tests is installed by the targets that test."""
    dry = make("--dry-run", "run")

    assert re.findall(r"requirements\S*\.txt", dry) == ["requirements-run.txt"]


@pytest.mark.xdist_group("makefile")
def test_groups_of_tests_reach_the_scheduler(request: pytest.FixtureRequest) -> None:
    """Else each worker starts a compiler and fleets of its own."""
    in_groups = getattr(request.config.option, "loadgroup", False)

    assert request.node.nodeid.endswith("@makefile") is in_groups
