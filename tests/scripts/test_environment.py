"""scripts/environment.sh and scripts/find_python.sh, with a made-up Python, and once with the real one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Answers its version, makes an environment, and notes what it installs.
PYTHON = """#!/bin/sh
case "$*" in
*ensurepip*) case "$*" in *"!= '{version}'"*) exit 0 ;; esac; exit 1 ;;
-c*) echo {version} ;;
"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo "#!$(pwd -P)/$3/bin/python" > "$3/bin/pip" ;;
*install*) for last in "$@"; do :; done; cat "$last" >> installed ;;
esac
"""


def make_python(path: Path, version: str = "3.13") -> Path:
    """A program that answers as a Python of this version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PYTHON.format(version=version))
    path.chmod(0o755)
    return path


def run(folder: Path, script: str, *arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Run a script in a folder; return its status, output and errors."""
    ended = subprocess.run(  # noqa: S603 - a script of this repository.
        ["/bin/sh", ROOT / "scripts" / script, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a lock and an environment of it, made by a Python 3.13."""
    folder = tmp_path / "project"
    make_python(folder / "python3.13")
    (folder / "lock.txt").write_text("one==1\n")
    assert prepare(folder) == (0, "Installing lock.txt into .venv with Python 3.13 (1 MB) ...\n", "")
    return folder


def prepare(folder: Path, python: str = "./python3.13") -> tuple[int, str, str]:
    """Have the environment ready."""
    return run(folder, "environment.sh", ".venv", python, "lock.txt", "1 MB")


def test_what_is_there_is_left_alone(project: Path) -> None:
    """The second run installs nothing, and a new lock is installed into the same environment."""
    assert prepare(project) == (0, "", "")
    (project / "lock.txt").write_text("one==2\n")
    assert prepare(project)[1].startswith("Installing lock.txt")
    assert (project / "installed").read_text() == "one==1\none==2\n"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("ln -sf /nowhere/python3.13 .venv/bin/python", "its Python does not run"),
        ("cp python3.10 .venv/bin/python", "it has Python 3.10, and the chosen one is 3.13"),
        (
            "cp -R . ../before && sed s,/project/,/before/, pip > .venv/bin/pip",
            "it is incomplete, or was moved here",
        ),
        ("rm .venv/bin/pip", "it is incomplete, or was moved here"),
        ("rm -r .venv && ln -s gone .venv", "its Python does not run"),
    ],
)
def test_a_spoilt_environment_is_made_anew(project: Path, spoil: str, reason: str) -> None:
    """The reason is told, and the next run has nothing to do."""
    make_python(project / "python3.10", "3.10")
    shutil.copyfile(project / ".venv/bin/pip", project / "pip")
    subprocess.run(["/bin/sh", "-c", spoil], cwd=project, check=True)  # noqa: S603 - a text of this file.

    status, output, _ = prepare(project)

    assert (status, output.splitlines()[0]) == (0, f"Making .venv anew: {reason}.")
    assert prepare(project) == (0, "", "")


def test_an_environment_behind_a_link_is_not_taken_for_a_moved_one(project: Path) -> None:
    """Several worktrees may share one. None of them installs into it what the others have not."""
    other = project.with_name("other")
    shutil.copytree(project, other, ignore=shutil.ignore_patterns(".venv"))
    (other / ".venv").symlink_to(project / ".venv")

    assert prepare(other) == (0, "", "")
    (other / "lock.txt").write_text("one==2\n")
    status, output, errors = prepare(other)

    assert (status, output, (project / ".venv/lock.txt").read_text()) == (1, "", "one==1\n")
    assert errors.startswith(
        ".venv is a link to another environment, which does not have what lock.txt says."
    )


@pytest.mark.parametrize(
    ("python", "error"),
    [
        ("", "Python 3.11 or newer is needed, with its modules venv and ensurepip: none was found."),
        ("./python3.10", "Python 3.11 or newer is needed: PYTHON=./python3.10 is Python 3.10."),
        ("./nowhere", "PYTHON=./nowhere does not run."),
    ],
)
def test_a_python_that_does_not_do_is_refused(project: Path, python: str, error: str) -> None:
    """The environment that is there stays."""
    make_python(project / "python3.10", "3.10")

    status, output, errors = prepare(project, python)

    assert (status, output, errors.splitlines()[0]) == (1, "", error)
    assert prepare(project) == (0, "", "")


def test_a_failed_installation_is_tried_again(project: Path) -> None:
    """A lock counts as installed after pip has ended well."""
    shutil.rmtree(project / ".venv")
    (project / "installed").unlink()
    (project / "installed").mkdir()
    assert prepare(project)[0] != 0
    (project / "installed").rmdir()

    assert prepare(project)[1].startswith("Installing lock.txt")


def test_the_real_python_makes_a_working_environment(tmp_path: Path) -> None:
    """Here a copy is made anew as well: its pip starts the Python of the original."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here/lock.txt").write_text("")
    assert prepare(tmp_path / "here", sys.executable)[0] == 0
    assert prepare(tmp_path / "here", sys.executable)[:2] == (0, "")
    shutil.copytree(tmp_path / "here", tmp_path / "copy", symlinks=True)

    assert prepare(tmp_path / "copy", sys.executable)[1].startswith("Making .venv anew: it is incomplete, or")
    shown = subprocess.run(  # noqa: S603 - the environment under test.
        [tmp_path / "copy/.venv/bin/pip", "--version"], capture_output=True, text=True, check=True
    )
    assert str(tmp_path / "copy/.venv") in shown.stdout


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        ({"python3": "3.11"}, "", "python3"),
        ({"python": "3.12"}, "", "python"),
        ({"python3": "3.10"}, "", ""),
        ({"python3.11": "3.11", "python3": "3.13"}, "", "python3"),
        ({"python3.11": "3.11", "python3": "3.13"}, "3.11", "python3.11"),
        ({"python3.12": "3.11"}, "", ""),
        ({}, "", ""),
    ],
)
def test_the_newest_python_is_found_under_any_name(
    tmp_path: Path, names: dict[str, str], wanted: str, found: str
) -> None:
    """Some machines have it as `python3` or `python` alone."""
    for name, version in names.items():
        make_python(tmp_path / name, version)

    status, output, _ = run(tmp_path, "find_python.sh", *wanted.split(), PATH=str(tmp_path))

    assert (status, output.strip()) == (0, str(tmp_path / found) if found else "")
