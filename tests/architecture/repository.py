"""The files of the repository, and those of them that are deployed."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from tempfile import TemporaryDirectory

import pytest

from tests.architecture.source_tree import ROOT


def tracked() -> list[str]:
    """The files of the repository. Outside of a git checkout the test is skipped, or fails in CI."""
    if not (ROOT / ".git").exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "Not a git checkout: no list of files."
        )
    # Git still lists a file that was just deleted.
    return [path for path in _git("ls-files").splitlines() if (ROOT / path).is_file()]


def deployed(paths: Iterable[str]) -> set[str]:
    """The paths that `.funcignore` does not match. Its patterns are those of git, so git matches them."""
    given = set(paths)
    with TemporaryDirectory() as empty:
        _git("init", "--quiet", empty)
        patterns = f"core.excludesFile={ROOT / '.funcignore'}"
        check = ("-C", empty, "-c", patterns, "check-ignore", "--no-index", "--stdin")
        return given - set(_git(*check, stdin="\n".join(given)).splitlines())


def _git(*arguments: str, stdin: str = "") -> str:
    git = shutil.which("git") or "git"
    # In a hook, git's own variables would send it to the repository from any folder.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    child = subprocess.run(  # noqa: S603 - git, and arguments of this file.
        [git, *arguments], cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True
    )
    # `check-ignore` exits with 1 if nothing matches.
    assert child.returncode == 0 or (child.returncode == 1 and "check-ignore" in arguments), child.stderr
    return child.stdout
