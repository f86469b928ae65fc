"""The Python files that are deployed, and what they import."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTION_PACKAGES = tuple(sorted(trigger.parent.name for trigger in ROOT.glob("*/trigger.py")))
DEPLOYED = ("function_app", "shared", *FUNCTION_PACKAGES)


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
