"""A rule of the infrastructure: which values a property of a resource may have, and why."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tests.infra.arm_snapshot import ABSENT, Resource, Snapshot, Value, plain, read
from tests.infra.bicep_compiler import ENVIRONMENTS

# The properties of a resource that are not inside of its `properties`.
_TOP_LEVEL = {"apiVersion", "identity", "kind", "location", "sku", "tags"}


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
class Expected:
    """The values that a property may have; `wrong` is a value that it must not have."""

    text: Callable[[Place], str]
    accepts: Callable[[Value, Place], bool]
    wrong: Value = "?"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `resource` is what `Snapshot.find` takes."""

    resource: str
    property: str
    expected: Expected
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

    def places(self, snapshot: Snapshot) -> list[Place]:
        """All resources that the rule is about."""
        return [
            Place(snapshot, group, resource)
            for group in self.groups(snapshot)
            for resource in snapshot.find(self.resource, group)
        ]

    def broken(self, snapshot: Snapshot) -> list[str]:
        """One line for each resource that breaks the rule, and for each resource group without such a resource."""
        missing = [
            f"{group} has no {self.resource}: {self.why}"
            for group in self.groups(snapshot)
            if not snapshot.find(self.resource, group)
        ]
        values = [(place, read(place.resource, self.property)) for place in self.places(snapshot)]
        return missing + [
            f"{place.resource['name']}: {self.property} is {_shown(value)}, but must be "
            f"{self.expected.text(place)}: {self.why}"
            for place, value in values
            if not self.expected.accepts(value, place)
        ]

    def unnoticed(self, snapshot: Snapshot) -> list[str]:
        """The resources of which the property can be changed without breaking the rule once."""
        return [
            place.resource["name"]
            for place in self.places(snapshot)
            for wrong in self._wrong_values(place)
            if len(self.broken(snapshot.changed(place.resource, self.property, wrong))) != 1
        ]

    def _wrong_values(self, place: Place) -> list[Value]:
        # A value that is right in another region can be wrong in this one.
        others = [read(other.resource, self.property) for other in self.places(place.snapshot)]
        return [self.expected.wrong, *(value for value in others if not self.expected.accepts(value, place))]


Row = tuple[str, Any, str] | tuple[str, Any, str, Collection[str]]
"""A property, its value or an `Expected`, the reason, and the environments where it is not all of them."""


def rules_for(
    resource: str, *rows: Row, environments: Collection[str] = ENVIRONMENTS, shared: bool = False
) -> tuple[Rule, ...]:
    """The rules about one type of resource."""
    rules = []
    for path, value, why, *narrower in rows:
        inside = path.partition(".")[0] not in _TOP_LEVEL
        expected = value if isinstance(value, Expected) else equal(value)
        where = narrower[0] if narrower else environments
        rules.append(
            Rule(resource, f"properties.{path}" if inside else path, expected, why, where, shared=shared)
        )
    return tuple(rules)


def equal(value: Value) -> Expected:
    """Exactly this value."""
    return Expected(
        lambda place: _shown(value),
        lambda found, place: type(found) is type(value) and found == value,
        not value if isinstance(value, bool) else "?",
    )


def computed(value: Callable[[Place], Value]) -> Expected:
    """The value that belongs to the place; references are compared by what they name."""
    return Expected(
        lambda place: _shown(value(place)),
        lambda found, place: found is not ABSENT and plain(found) == value(place),
    )


def id_of(kind: str) -> Expected:
    """The id of the resource of a type in the same resource group."""
    return computed(lambda place: place.id(kind))


def name_of(kind: str) -> Expected:
    """The name of the resource of a type in the same resource group."""
    return computed(lambda place: place.name(kind))


def output(name: str) -> Expected:
    """An output of a module, such as `keyVault.uri`, of the same resource group."""
    return computed(lambda place: f"[{place.group}/{name}]")


def at_least(least: int) -> Expected:
    """A number that is not smaller."""
    return Expected(
        lambda place: f"at least {least}",
        lambda found, place: isinstance(found, int) and found >= least,
        least - 1,
    )


def absent() -> Expected:
    """Missing, or null."""
    return Expected(lambda place: "absent", lambda found, place: found is ABSENT, "there")


def present() -> Expected:
    """Any value that is not empty."""
    return Expected(lambda place: "present", lambda found, place: found is not ABSENT and found != "", ABSENT)


def matching(pattern: str) -> Expected:
    """A text in which the pattern is found."""
    return Expected(
        lambda place: f"a text like {pattern}",
        lambda found, place: isinstance(found, str) and re.search(pattern, found) is not None,
    )


def _shown(value: Value) -> str:
    return "absent" if value is ABSENT else repr(value)
