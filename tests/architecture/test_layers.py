"""The layers of the deployed code: imports run downhill, and adapters do not import each other."""

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter

import pytest

from tests.architecture.source_tree import DEPLOYED, FUNCTION_PACKAGES, deployed_modules, imports

# What is behind the ports, one line for each system. A group imports nothing of another group.
ADAPTERS = """
    auth
    events.event_grid
    events.publisher
    face.budget face.calls face.client
    keys
    queues.azure_queue
    queues.port.MemoryQueue
    storage.port.MemoryStore
    storage.tables
"""
# From the bottom to the top, one line for each layer. A module belongs to the layer with the longest part of its name.
# The pure modules of `face` are at the bottom, because some of them parse settings; its client is an adapter.
LAYERS = f"""
    values
    cloud errors http_port release telemetry text
    background face keys.secret pseudonyms throttle.policy
    settings
    events queues sessions.record storage
    idempotency sessions throttle
    access checks
    suspects
    resolver http
    azure_transport
    {" ".join(ADAPTERS.split())}
    storage.account
    app
    web
    {" ".join(FUNCTION_PACKAGES)}
    function_app
"""
# These alone may import from any group of adapters, or from any function package.
ROOTS = ("shared.storage.account", "shared.app", "function_app")


def _positions(lines: Iterable[str]) -> dict[str, int]:
    """The number of the line that a module is in."""
    return {
        name if name in DEPLOYED else f"shared.{name}": number
        for number, line in enumerate(lines)
        for name in line.split()
    }


LAYER_OF = _positions(LAYERS.splitlines())
GROUP_OF = _positions([*ADAPTERS.splitlines(), *FUNCTION_PACKAGES])

Imports = Mapping[str, set[str]]


@pytest.fixture(scope="module")
def imported() -> Imports:
    """The imports of our own modules and names, by the module that imports them."""
    ours = tuple(f"{name}." for name in DEPLOYED)
    return {
        name: {target for target in imports(tree) if target.startswith(ours)}
        for name, tree in deployed_modules().items()
        if name != "shared"
    }


def test_imports_keep_to_the_layers(imported: Imports) -> None:
    """A module imports from its own layer or a lower one; groups of adapters and function packages stay apart."""
    assert len(imported) > 50
    assert faults(imported) == []


def test_imports_run_in_no_circle(imported: Imports) -> None:
    """No two modules need each other."""
    graph = {name: {_longest(target, imported) for target in found} for name, found in imported.items()}

    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("shared.text", "shared.settings.Settings"),
        ("shared.settings", "shared.keys.cache"),
        ("shared.queues.azure_queue", "shared.storage.tables.store.AzureTableStore"),
        ("shared.keys.cache", "shared.face.client.FaceClient"),
        ("shared.web.responses", "shared.storage.port.MemoryStore"),
        ("shared.app", "create_session.body"),
        ("get_result.use_case", "create_session.body"),
    ],
)
def test_a_wrong_import_is_found(imported: Imports, module: str, target: str) -> None:
    """One further import is one fault."""
    assert len(faults({**imported, module: imported[module] | {target}})) == 1


def faults(imported: Imports) -> list[str]:
    """One line for each wrong import."""
    return [
        f"{module} imports {target}: {fault}"
        for module, targets in imported.items()
        for target in sorted(targets)
        if (fault := _fault(module, target))
    ]


def _fault(module: str, target: str) -> str | None:
    own, other = _longest(module, LAYER_OF), _longest(target, LAYER_OF)
    if LAYER_OF[other] > LAYER_OF[own]:
        return "it is in a higher layer"
    if other in GROUP_OF and GROUP_OF[other] != GROUP_OF.get(own) and module not in ROOTS:
        return f"only its own group and {', '.join(ROOTS)} may import it"
    return None


def _longest(name: str, known: Iterable[str]) -> str:
    """The longest of the known names that a name starts with."""
    found = [part for part in known if f"{name}.".startswith(f"{part}.")]
    assert found, f"{name} has no layer: give it one in LAYERS"
    return max(found, key=len)
