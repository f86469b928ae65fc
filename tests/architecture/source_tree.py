"""The files of the repository, the Python files that are deployed, and what they import."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.package import git

ROOT = Path(__file__).parents[2]
FUNCTION_PACKAGES = tuple(sorted(trigger.parent.name for trigger in ROOT.glob("*/trigger.py")))
DEPLOYED = ("function_app", "shared", *FUNCTION_PACKAGES)


def tracked() -> list[str]:
    """The files of the repository. Outside of a git checkout the test is skipped, or fails in CI."""
    if not (ROOT / ".git").exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "not a git checkout: no list of files"
        )
    # Git still lists a file that was just deleted.
    return [path for path in git("ls-files").splitlines() if (ROOT / path).is_file()]


def deployed_modules() -> dict[str, ast.Module]:
    """The syntax tree of each deployed module, by its name."""
    paths = [path for name in DEPLOYED for path in (ROOT / f"{name}.py", *(ROOT / name).rglob("*.py"))]
    return {_name(path): ast.parse(path.read_text("utf-8"), str(path)) for path in paths if path.is_file()}


def imports(tree: ast.AST) -> Iterator[str]:
    """Each name that is imported, with the module that it comes from; imports inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
