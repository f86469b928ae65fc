"""The structured log events of the app, read out of its code."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source_tree import FUNCTION_PACKAGES

ROOT = Path(__file__).parents[2]


def logged_events() -> dict[str, set[str]]:
    """The level or levels of each event, by its name."""
    events: dict[str, set[str]] = defaultdict(set)
    for folder in (*FUNCTION_PACKAGES, "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for event, level in events_in(ast.parse(path.read_text("utf-8"))):
                events[event].add(level)
    return dict(events)


def events_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each event that a module logs, with a level that it is logged at."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log_event":
            _, level, event = node.args
            yield from _pairs(level, event)


def _pairs(level: ast.expr, event: ast.expr) -> Iterator[tuple[str, str]]:
    if _same_condition(level, event):
        assert isinstance(level, ast.IfExp)
        assert isinstance(event, ast.IfExp)
        yield from _pairs(level.body, event.body)
        yield from _pairs(level.orelse, event.orelse)
        return
    for name in _choices(event):
        for severity in _choices(level):
            assert isinstance(name, ast.Constant), "an event's name is written where it is logged"
            assert isinstance(severity, ast.Attribute), "an event's level is written where it is logged"
            yield str(name.value), severity.attr


def _same_condition(level: ast.expr, event: ast.expr) -> bool:
    return (
        isinstance(level, ast.IfExp)
        and isinstance(event, ast.IfExp)
        and ast.dump(level.test) == ast.dump(event.test)
    )


def _choices(node: ast.expr) -> list[ast.expr]:
    return [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
