"""A rule of the infrastructure: which value a property of a resource has, and why."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tests.infra.arm_snapshot import ABSENT, Resource, Snapshot, Value, plain, read
from tests.infra.bicep_compiler import ENVIRONMENTS

# The properties of a resource that are not inside of its `properties`.
_TOP_LEVEL = {"condition", "identity", "kind", "location", "sku", "tags", "type"}


@dataclass(frozen=True, slots=True)
class Place:
    """A resource, and the resource group that it is in."""

    snapshot: Snapshot
    group: str
    resource: Resource

    def id(self, kind: str) -> str:
        """The id of the one resource of a type in the same resource group."""
        return str(self._one(kind)["id"])

    def name(self, kind: str) -> str:
        """The name of the one resource of a type in the same resource group."""
        return str(self._one(kind)["name"])

    @property
    def region(self) -> str:
        """The region of the resource group."""
        return str(self._one("Microsoft.Resources/resourceGroups")["location"])

    @property
    def shared_group(self) -> str:
        """The resource group that all regions share."""
        return self.group.rpartition("-")[0] + "-global"

    def _one(self, kind: str) -> Resource:
        [found] = self.snapshot.find(kind, self.group)
        return found


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `resource` is what `Snapshot.find` takes."""

    resource: str
    property: str
    expected: Any
    """The value, or a function that computes it for a place; references are compared by what they name."""
    why: str
    environments: Collection[str] = ENVIRONMENTS
    shared: bool = False
    """Whether the resource exists once for all regions, and not once in each region."""

    def __str__(self) -> str:
        where = "" if self.environments == ENVIRONMENTS else f" ({', '.join(self.environments)})"
        return f"{self.resource.removeprefix('Microsoft.')} {self.property}{where}"

    def groups(self, snapshot: Snapshot) -> list[str]:
        """The resource groups that must have such a resource."""
        regions = snapshot.region_groups()
        return [Place(snapshot, regions[0], {}).shared_group] if self.shared else regions

    def broken(self, snapshot: Snapshot) -> list[str]:
        """One line for each resource that breaks the rule, and for each resource group without such a resource."""
        lines = []
        for group in self.groups(snapshot):
            found = snapshot.find(self.resource, group)
            if not found:
                lines.append(f"{group} has no {self.resource}: {self.why}")
            for resource in found:
                value, right = read(resource, self.property), self._right(Place(snapshot, group, resource))
                if type(value) is not type(right) or plain(value) != right:
                    must = f"is {_shown(value)}, but must be {_shown(right)}: {self.why}"
                    lines.append(f"{resource['name']}: {self.property} {must}")
        return lines

    def _right(self, place: Place) -> Value:
        return self.expected(place) if callable(self.expected) else self.expected


Row = tuple[str, Any, str] | tuple[str, Any, str, Collection[str]]
"""A property, its value or a function of the place, the reason, and the environments where it is not all of them."""


def rules_for(
    resource: str, *rows: Row, environments: Collection[str] = ENVIRONMENTS, shared: bool = False
) -> tuple[Rule, ...]:
    """The rules about one type of resource."""
    rules = []
    for path, expected, why, *narrower in rows:
        inside = path.partition(".")[0] not in _TOP_LEVEL
        where = narrower[0] if narrower else environments
        rules.append(
            Rule(resource, f"properties.{path}" if inside else path, expected, why, where, shared=shared)
        )
    return tuple(rules)


def id_of(kind: str) -> Callable[[Place], Value]:
    """The id of the resource of a type in the same resource group."""
    return lambda place: place.id(kind)


def name_of(kind: str) -> Callable[[Place], Value]:
    """The name of the resource of a type in the same resource group."""
    return lambda place: place.name(kind)


def output(name: str) -> Callable[[Place], Value]:
    """An output of a module, such as `keyVault.uri`, of the same resource group."""
    return lambda place: f"[{place.group}/{name}]"


def _shown(value: Value) -> str:
    return "absent" if value is ABSENT else repr(value)
