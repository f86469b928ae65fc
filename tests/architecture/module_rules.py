"""What a module may look like. A rule answers what is wrong in a module, one line for each violation."""

import ast
from collections.abc import Iterator
from itertools import chain

from shared import errors
from tests.architecture.source_tree import Module, is_for_type_checker

ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv")
IMPORT_MACHINERY = ("sys.path", "sys.modules", "importlib.import_module", "builtins.__import__")

MUTATORS = frozenset(
    {
        "add",
        "append",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "setdefault",
        "update",
    }
)

SECRETS = frozenset({"auth_token", "digest", "fingerprint", "front_door_id", "pepper", "token_hash"})
"""Names of what a caller must not find out by how long a comparison takes."""

KEPT_BY_LOOP = ("shared/app.py", "_APPS")
"""The one registry: which app belongs to which event loop."""

DEFINITIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)


def environment_is_read_in_settings(module: Module) -> Iterator[str]:
    """The environment is read in `shared/settings.py` only."""
    if module.path != "shared/settings.py":
        yield from _uses(module, ENVIRONMENT)


def secrets_are_compared_in_constant_time(module: Module) -> Iterator[str]:
    """What proves something is compared by `hmac.compare_digest`, and never with `==`."""
    comparisons = [node for node in ast.walk(module.tree) if isinstance(node, ast.Compare)]
    for node in comparisons:
        tells = any(isinstance(operator, ast.Eq | ast.NotEq | ast.In) for operator in node.ops)
        named = SECRETS & set(map(_called, (node.left, *node.comparators)))
        if tells and named:
            yield f"{module.path}:{node.lineno}: {', '.join(sorted(named))} compared in a time that tells"


def _called(node: ast.expr) -> str:
    """The name that a value goes by: of a variable, an attribute, or what a function makes."""
    if isinstance(node, ast.Call):
        return _called(node.func)
    if isinstance(node, ast.Attribute):
        # `digest.lower()` is as secret as `digest`.
        return inner if (inner := _called(node.value)) in SECRETS else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def import_machinery_is_left_alone(module: Module) -> Iterator[str]:
    """No import by a computed name, and no change to where modules are found."""
    yield from _uses(module, IMPORT_MACHINERY)


def module_opens_with_a_docstring(module: Module) -> Iterator[str]:
    """Each module says what it is for."""
    if not ast.get_docstring(module.tree):
        yield f"{module.path}:1: no docstring"


def package_only_exports(module: Module) -> Iterator[str]:
    """An `__init__.py` holds a docstring, and else only imports and the sorted list of their names, `__all__`."""
    if not module.is_package:
        return
    statements = [node for node in module.tree.body if not _is_text(node)]
    imports = (node for node in statements if isinstance(node, ast.ImportFrom))
    imported = sorted(
        (alias.asname or alias.name for node in imports for alias in node.names), key=_export_order
    )
    exports = [ast.unparse(node) for node in statements if not isinstance(node, ast.ImportFrom)]
    if exports != ([f"__all__ = {imported!r}"] if imported else []):
        yield f"{module.path}:1: expected imports and their names in a sorted __all__, or a docstring alone"


def module_level_only_defines(module: Module) -> Iterator[str]:
    """Importing a module only defines names; `function_app.py` calls what checks settings and registers functions."""
    for node in module.tree.body:
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if not (
            isinstance(node, DEFINITIONS)
            or _is_text(node)
            or is_for_type_checker(node)
            or (is_call and module.name == "function_app")
        ):
            yield f"{module.path}:{node.lineno}: does something when it is imported"


def module_level_names_stay_as_they_are(module: Module) -> Iterator[str]:
    """Nothing that a module defines is changed later: no `global`, no entry added to a table."""
    names = set(assigned_names(module))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield f"{module.path}:{node.lineno}: global {', '.join(node.names)}"
        elif (changed := _changed_name(node)) in names and (module.path, changed) != KEPT_BY_LOOP:
            yield f"{module.path}:{getattr(node, 'lineno', 0)}: changes {changed}"


def errors_raised_have_a_code(module: Module) -> Iterator[str]:
    """Only the leaves of the error tree are made: a class without a code cannot be answered."""
    branches = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.BrokerError) and not hasattr(found, "code")
    }
    for node in ast.walk(module.tree):
        made = node.exc if isinstance(node, ast.Raise) else getattr(node, "func", None)
        if isinstance(made, ast.Name) and made.id in branches:
            yield f"{module.path}:{made.lineno}: {made.id} has no code"


def assigned_names(module: Module) -> list[str]:
    """The names that a module gives values to, where it is not by an import, a class or a function."""
    targets = chain.from_iterable(
        node.targets if isinstance(node, ast.Assign) else [node.target]
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
    )
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def function_names(module: Module) -> list[str]:
    """The names of a module's functions, decorated ones too."""
    return [
        node.name for node in module.tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _export_order(name: str) -> tuple[bool, bool, str]:
    """The linter's order: constants, then classes, then the rest."""
    return not name.isupper(), not name[0].isupper(), name


def _uses(module: Module, qualified: tuple[str, ...]) -> Iterator[str]:
    """Where one of these names is used, under whatever name it was imported."""
    known = {"__import__": "builtins.__import__"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            if (name := known.get(first, first) + dot + rest) in qualified:
                yield f"{module.path}:{node.lineno}: {name}"


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _changed_name(node: ast.AST) -> str | None:
    """The name of what is changed in place by a call or an assignment, if it is a plain name."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in MUTATORS:
            return name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
            return name
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
    return None
