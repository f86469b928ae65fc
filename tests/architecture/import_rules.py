"""Who may import what. A rule answers what is wrong in a module, one line for each violation."""

from collections.abc import Callable, Iterable, Iterator

from tests.architecture.source_tree import FUNCTION_PACKAGES, NOT_DEPLOYED, Import, Module, imports, within

SDKS = ("aiohttp", "azure", "msal")
"""Slow to import; `azure.functions`, which the worker has loaded before any code of ours, is not meant."""

LAZY_PACKAGES = ("shared.storage.tables",)
"""Packages full of an SDK, which are imported as lazily as an SDK is."""

ADAPTERS = {
    "Face": ("shared.face",),
    "keys": ("shared.keys",),
    "memory": ("shared.storage.memory",),
    "Event Grid": ("shared.events.event_grid",),
    "local events": ("shared.events.publisher",),
    "Azure Queue": ("shared.queues.azure_queue",),
    "memory queue": ("shared.queues.memory",),
    "Azure Table": ("shared.storage.azure_table", "shared.storage.store_time", "shared.storage.tables"),
}
"""What is behind the ports, by what it talks to."""

PORTS = ("shared.face.model",)
"""What adapters may know of each other's packages; `shared.storage.port` is in no adapter's package."""

IO_MODULES = (
    "shared.events.event_grid",
    "shared.events.publisher",
    "shared.face.calls",
    "shared.face.client",
    "shared.face.transport",
    "shared.keys.identity",
    "shared.keys.key_vault",
    "shared.queues.azure_queue",
    "shared.queues.memory",
    "shared.storage.azure_table",
    "shared.storage.memory",
    "shared.storage.tables",
)
"""Modules that do I/O, or stand in for it: what use-cases and rules must not depend on."""


def azure_functions_stays_at_the_edge(module: Module) -> Iterator[str]:
    """`azure.functions` is imported in `function_app.py`, triggers, function packages and `shared/web/` only."""
    is_trigger = module.top in FUNCTION_PACKAGES and (
        module.is_package or module.path.endswith("/trigger.py")
    )
    if not (module.name == "function_app" or is_trigger or within(module.name, "shared.web")):
        yield from _where(
            module, lambda found: found.loads("azure.functions"), "azure.functions is not for here"
        )


def httpx_stays_in_the_face_client(module: Module) -> Iterator[str]:
    """`httpx` is imported in `shared/face/` and `shared/app.py` only."""
    if not (within(module.name, "shared.face") or module.name == "shared.app"):
        yield from _where(module, lambda found: found.loads("httpx"), "httpx is not for here")


def sdks_are_imported_lazily(module: Module) -> Iterator[str]:
    """Azure's SDKs, and the packages full of one, are imported inside functions only."""
    if not within(module.name, "shared.storage.tables"):
        yield from _where(
            module, lambda found: found.eager and _is_slow(found), "import it inside a function"
        )


def imports_are_absolute(module: Module) -> Iterator[str]:
    """No relative import: one module, one name, one state."""
    yield from _where(module, lambda found: found.relative, "relative import")


def adapters_do_not_know_each_other(module: Module) -> Iterator[str]:
    """What talks to one outside system imports nothing of what talks to another, but for the ports."""
    own = next((prefixes for prefixes in ADAPTERS.values() if _inside(module.name, prefixes)), None)
    others = [prefix for prefixes in ADAPTERS.values() if prefixes != own for prefix in prefixes]

    def is_foreign(found: Import) -> bool:
        return any(_inside(target, others) and not _inside(target, PORTS) for target in _precise(found))

    if own:
        yield from _where(module, is_foreign, "of another adapter")


def adapters_meet_in_the_composition_root(module: Module) -> Iterator[str]:
    """What does I/O is imported by `shared/app.py` and its own package only."""
    own = [prefix for prefixes in ADAPTERS.values() if _inside(module.name, prefixes) for prefix in prefixes]

    def is_io(found: Import) -> bool:
        # `shared.keys` hands out, among others, what does I/O.
        foreign = [target for target in found.targets if not _inside(target, own)]
        return "shared.keys" in foreign or any(_inside(target, IO_MODULES) for target in foreign)

    if module.name != "shared.app":
        yield from _where(module, is_io, "only the composition root knows this")


def layers_point_one_way(module: Module) -> Iterator[str]:
    """`shared` knows no function package, they do not know each other, and nothing knows what is not deployed."""
    packages = [name for name in FUNCTION_PACKAGES if name != module.top and module.name != "function_app"]
    forbidden = (*packages, *NOT_DEPLOYED)
    yield from _where(module, lambda found: found.loads(*forbidden), "of another layer")


def _where(module: Module, is_wrong: Callable[[Import], bool], what: str) -> Iterator[str]:
    for found in imports(module):
        if is_wrong(found):
            yield f"{module.path}:{found.line}: {found.targets[0]}: {what}"


def _is_slow(found: Import) -> bool:
    slow = [target for target in _precise(found) if _inside(target, (*SDKS, *LAZY_PACKAGES))]
    return any(not within(target, "azure.functions") for target in slow)


def _precise(found: Import) -> tuple[str, ...]:
    """The modules and names that are taken, without the package that they are taken from."""
    return found.targets[1:] or found.targets


def _inside(name: str, modules: Iterable[str]) -> bool:
    return any(within(name, module) for module in modules)
