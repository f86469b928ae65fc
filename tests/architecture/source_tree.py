"""The project's Python files as syntax trees, and the imports in them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]

FUNCTION_PACKAGES = tuple(sorted(trigger.parent.name for trigger in ROOT.glob("*/trigger.py")))
DEPLOYED = ("function_app", "shared", *FUNCTION_PACKAGES)
NOT_DEPLOYED = ("benchmarks", "local", "ops", "scripts", "tests")


@dataclass(frozen=True, slots=True)
class Module:
    """One file; `path` is relative to the project."""

    path: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, source: str) -> "Module":
        """Read the text of a file, real or made up."""
        return cls(path, ast.parse(source, path))

    @property
    def name(self) -> str:
        """The name that it is imported by."""
        parts = PurePosixPath(self.path).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def top(self) -> str:
        """The first part of its name."""
        return self.name.partition(".")[0]

    @property
    def deployed(self) -> bool:
        """Whether it runs in Azure."""
        return self.top in DEPLOYED

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a package."""
        return self.path.endswith("__init__.py")


@dataclass(frozen=True, slots=True)
class Import:
    """One import: `targets` are the module, and the names taken from it, each of which may be a module as well."""

    targets: tuple[str, ...]
    line: int
    relative: bool
    eager: bool

    def loads(self, *modules: str) -> bool:
        """Whether one of these modules, or something inside of it, is meant."""
        return any(within(target, module) for target in self.targets for module in modules)


def within(name: str, module: str) -> bool:
    """Whether a dotted name is a module or something in it."""
    return name == module or name.startswith(f"{module}.")


def modules() -> list[Module]:
    """Every module of the project."""
    folders = (ROOT / name for name in (*DEPLOYED[1:], *NOT_DEPLOYED))
    paths = [ROOT / "function_app.py", *(path for folder in folders for path in sorted(folder.rglob("*.py")))]
    return [Module.parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]


def imports(module: Module) -> list[Import]:
    """The imports of a module, in functions too; those for the type checker alone are left out."""
    return list(_imports(module.tree.body, eager=True))


def is_for_type_checker(node: ast.stmt) -> bool:
    """Whether this is `if TYPE_CHECKING:`, without anything else."""
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    )


def _imports(body: list[ast.stmt], *, eager: bool) -> Iterator[Import]:
    for node in body:
        match node:
            case ast.Import(names):
                for name in names:
                    yield Import((name.name,), node.lineno, relative=False, eager=eager)
            case ast.ImportFrom(module, names, level):
                base = module or ""
                targets = (base, *(f"{base}.{name.name}" for name in names))
                yield Import(targets, node.lineno, relative=bool(level), eager=eager)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _imports(node.body, eager=False)
            case _ if not is_for_type_checker(node):
                for inner in _blocks(node):
                    yield from _imports(inner, eager=eager)


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement, those of its handlers and cases too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ExceptHandler | ast.match_case):
            yield child.body
    for field in ("body", "orelse", "finalbody"):
        if isinstance(block := getattr(node, field, None), list):
            yield block
