"""The structured log events of the app, read from its code."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source_tree import FUNCTION_PACKAGES

ROOT = Path(__file__).parents[2]


def logged_events() -> dict[str, set[str]]:
    """Return the level or levels of each event, by its name."""
    events: dict[str, set[str]] = defaultdict(set)
    for folder in (*FUNCTION_PACKAGES, "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for level, event in _logged(node):
                    assert isinstance(level, ast.Attribute), "write the level where it is logged"
                    events[ast.literal_eval(event)].add(level.attr)
    return dict(events)


def _logged(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the levels and names of a call of `log_event`, or of a method `log` that passes both on to it."""
    if not isinstance(node, ast.Call):
        return
    if ast.unparse(node.func) == "log_event" and not isinstance(node.args[1], ast.Name):
        yield from _pairs(node.args[1], node.args[2])
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "log" and len(node.args) == 2:
        yield from _pairs(node.args[0], node.args[1])


def _pairs(level: ast.expr, event: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the levels and names of a call; a name under a condition has its level under the same one."""
    if not isinstance(level, ast.IfExp):
        yield level, event
    elif isinstance(event, ast.IfExp):
        assert ast.dump(event.test) == ast.dump(level.test)
        yield from ((level.body, event.body), (level.orelse, event.orelse))
    else:
        yield from ((level.body, event), (level.orelse, event))
