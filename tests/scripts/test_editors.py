"""The settings for VS Code and for a development container."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def read(name: str) -> Any:  # noqa: ANN401 - JSON of any shape.
    """Read JSON in which whole lines may be comments."""
    return json.loads(re.sub(r"^ *//.*\n", "", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE))


TASKS = {task["label"]: task for task in read(".vscode/tasks.json")["tasks"]}
LAUNCHES = read(".vscode/launch.json")["configurations"]
CONTAINER = read(".devcontainer/devcontainer.json")


def test_their_commands_are_targets_of_the_makefile() -> None:
    """A task that was renamed would fail at the first try of a newcomer."""
    commands = [task["command"] for task in TASKS.values()] + [CONTAINER["postCreateCommand"]]
    of_make = {command.removeprefix("make ") for command in commands if command.startswith("make ")}

    assert {"run", "quick", "test", "to-develop"} <= of_make <= TARGETS


def test_each_configuration_finds_what_it_starts() -> None:
    """The tasks before it, the modules, and the ports are there."""
    needed = {launch["preLaunchTask"] for launch in LAUNCHES}
    for task in TASKS.values():
        tasks = task.get("dependsOn", [])
        needed |= {tasks} if isinstance(tasks, str) else {*tasks}

    assert needed <= set(TASKS)
    runs = [launch["args"] for launch in LAUNCHES if launch.get("module") == "local"]
    assert runs == [["run"], ["run", "--auth", "jwt"], ["run", "--storage", "azurite"]]
    assert (ROOT / TASKS["install azurite"]["command"]).is_file()


def test_each_configuration_runs_the_python_that_is_installed_before_it() -> None:
    """The interpreter that the editor chose may be from before `.venv` was there; its path differs on Windows."""
    for launch in LAUNCHES:
        if launch["request"] == "launch":
            assert launch["python"] == "${workspaceFolder}/.venv/bin/python"
            assert launch["windows"] == {"python": "${workspaceFolder}/.venv/Scripts/python.exe"}


def test_func_has_its_settings_its_storage_and_a_simulator_with_the_same_key() -> None:
    """They are those of docs/development.md, in which `func` is started by hand."""
    values = read("local.settings.example.json")["Values"]
    page = (ROOT / "docs/development.md").read_text("utf-8")

    assert set(TASKS["func: host start"]["dependsOn"]) == {"settings of func", "azurite", "simulator"}
    assert TASKS["simulator"]["command"].startswith(f"FACE_KEY={values['FACE_KEY']} ")
    for name in ("simulator", "azurite"):
        assert TASKS[name]["command"] in page


def test_the_container_has_the_python_of_the_app_and_forwards_the_ports_of_a_run() -> None:
    """The tag names Python's minor version and the system, so that it does not become another one."""
    assert re.fullmatch(r"\S+/python:3\.13-bookworm", CONTAINER["image"])
    assert CONTAINER["forwardPorts"] == [7071, 7072, 7073]
    # Pages and tokens name these ports: another one at the outside would not do.
    kept = [port for port, given in CONTAINER["portsAttributes"].items() if given["requireLocalPort"]]
    assert kept == ["7071", "7072", "7073"]
    # The tests of the Kotlin client and of pages need these.
    assert {"chromium", "default-jre-headless"} <= set(CONTAINER["onCreateCommand"].split())


def test_container_and_folder_recommend_the_same_extensions() -> None:
    """All that the settings name are among them."""
    extensions = read(".vscode/extensions.json")["recommendations"]
    settings = read(".vscode/settings.json")

    assert CONTAINER["customizations"]["vscode"]["extensions"] == extensions
    assert settings["[python]"]["editor.defaultFormatter"] in extensions
    # The extension finds the interpreter in the folder, on each system.
    assert settings["python.defaultInterpreterPath"] == "${workspaceFolder}/.venv"
