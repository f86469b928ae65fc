"""The structured log events of the app, read from its code."""

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source_tree import FUNCTION_PACKAGES

ROOT = Path(__file__).parents[2]


@functools.cache
def logged_events() -> dict[str, set[str]]:
    """Return the level or levels of each event, by its name."""
    levels: dict[str, set[str]] = defaultdict(set)
    for event, level, _ in _calls():
        levels[event].add(level)
    return dict(levels)


@functools.cache
def logged_fields() -> dict[str, set[str]]:
    """Return the fields of each event, by its name: those that it may have."""
    fields: dict[str, set[str]] = defaultdict(set)
    for event, _, names in _calls():
        fields[event] |= names
    return dict(fields)


def _calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the event, the level and the fields of each call that logs."""
    for folder in (*FUNCTION_PACKAGES, "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            for function in ast.walk(_parsed(path)):
                if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                for call in ast.walk(function):
                    for level, event in _logged(call):
                        assert isinstance(call, ast.Call)
                        assert isinstance(level, ast.Attribute), "write the level where it is logged"
                        names = _fields(call, function) | _added(path, call)
                        yield ast.literal_eval(event), level.attr, names


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _fields(call: ast.Call, function: ast.AST) -> set[str]:
    """The names of the arguments of a call; of `**name` the keys of the dictionary that the function gives it."""
    names = {argument.arg for argument in call.keywords if argument.arg}
    rest = {ast.unparse(argument.value) for argument in call.keywords if argument.arg is None}
    for node in ast.walk(function):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) in rest:
            assert isinstance(node.value, ast.Dict)
            names |= {ast.literal_eval(key) for key in node.value.keys if key is not None}
    return names


def _added(path: Path, call: ast.Call) -> set[str]:
    """The fields that a method `log` of the same file, or `FloodLog`, adds to those of its caller."""
    if ast.unparse(call.func) == "log_event":
        return set()
    if ast.unparse(call.func).endswith("flood_log.write"):
        path = ROOT / "shared/telemetry.py"
    return {
        argument.arg
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "log_event"
        and isinstance(node.args[1], ast.Name)
        for argument in node.keywords
        if argument.arg
    }


def _logged(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the levels and names of a call of `log_event`, of `FloodLog`, or of a method that passes both on to it."""
    if not isinstance(node, ast.Call):
        return
    is_flood_log = ast.unparse(node.func).endswith("flood_log.write")
    if (is_flood_log or ast.unparse(node.func) == "log_event") and not isinstance(node.args[1], ast.Name):
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
