"""The settings for VS Code and for a development container."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def read(name: str) -> Any:  # noqa: ANN401 - JSON of any shape.
    """Read JSON whose first lines may be comments."""
    return json.loads(re.sub(r"^//.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE))


def test_their_commands_are_targets_of_the_makefile() -> None:
    """A task that was renamed would fail at the first try of a newcomer."""
    tasks = read(".vscode/tasks.json")["tasks"]
    commands = [task["command"] for task in tasks] + [
        read(".devcontainer/devcontainer.json")["postCreateCommand"]
    ]

    assert {command.removeprefix("make ") for command in commands} <= TARGETS
    launches = read(".vscode/launch.json")["configurations"]
    assert {launch["preLaunchTask"] for launch in launches} <= {task["label"] for task in tasks}
    runs = [launch["args"] for launch in launches if launch["module"] == "local"]
    assert runs == [["run"], ["run", "--auth", "jwt"]]


def test_the_container_has_the_python_of_the_app_and_forwards_the_ports_of_a_run() -> None:
    """The tag names Python's minor version and the system, so that it does not become another one."""
    container = read(".devcontainer/devcontainer.json")

    assert re.fullmatch(r"\S+/python:3\.13-bookworm", container["image"])
    assert container["forwardPorts"] == [7071, 7072, 7073]
    # The tests of the Kotlin client and of pages need these.
    assert {"chromium", "default-jre-headless"} <= set(container["onCreateCommand"].split())


def test_their_files_can_be_read() -> None:
    """The others have no commands: they are JSON, and name this repository's environment."""
    assert read(".vscode/extensions.json")["recommendations"]
    assert read(".vscode/settings.json")["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
