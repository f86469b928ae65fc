"""What a line of the table of rules is: a resource, a property of it, what that has to be, and why."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.infra.arm_snapshot import ABSENT, Resource, Snapshot, Value, plain, read
from tests.infra.bicep_compiler import ENVIRONMENTS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a property is: a resource of one resource group."""

    snapshot: Snapshot
    group: str
    resource: Resource

    def id(self, kind: str) -> str:
        """The id of the one resource of a type in the same resource group."""
        return str(self._one(kind)["id"])

    def name(self, kind: str) -> str:
        """Its name."""
        return str(self._one(kind)["name"])

    @property
    def region(self) -> str:
        """The region that the resource group is in."""
        return str(self._one("Microsoft.Resources/resourceGroups")["location"])

    @property
    def number(self) -> int:
        """Which of the regions it is, from 0."""
        return self.snapshot.stamps().index(self.group)

    @property
    def shared_group(self) -> str:
        """The resource group of what the regions share."""
        return self.group.rpartition("-")[0] + "-global"

    @property
    def last_name(self) -> str:
        """The last part of the name of the resource itself."""
        return str(self.resource["name"]).split("/")[-1]

    def _one(self, kind: str) -> Resource:
        [found] = self.snapshot.find(kind, self.group)
        return found


@dataclass(frozen=True, slots=True)
class Expected:
    """What a property may be; `spoiled` is a value that it may not be."""

    text: str
    accepts: Callable[[Value, Place], bool]
    spoiled: Value
    is_own: bool = False
    """Whether it is another value in each region."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `resource` is what `Snapshot.find` takes."""

    resource: str
    property: str
    expected: Expected
    why: str
    environments: Collection[str] = ENVIRONMENTS
    shared: bool = False
    """Whether it is about what the regions share, and not about each region."""

    def __str__(self) -> str:
        kind = self.resource.removeprefix("Microsoft.")
        where = "" if self.environments == ENVIRONMENTS else f" ({', '.join(self.environments)})"
        return f"{kind} {self.property} {self.expected.text}{where}"

    def groups(self, snapshot: Snapshot) -> list[str]:
        """The resource groups that have to have such a resource."""
        stamps = snapshot.stamps()
        return [Place(snapshot, stamps[0], {}).shared_group] if self.shared else stamps

    def places(self, snapshot: Snapshot) -> list[Place]:
        """All that the rule is about."""
        return [
            Place(snapshot, group, resource)
            for group in self.groups(snapshot)
            for resource in snapshot.find(self.resource, group)
        ]

    def broken(self, snapshot: Snapshot) -> list[str]:
        """Where the rule does not hold: at resources, or in resource groups that have no such resource."""
        missing = [
            f"{group} has no {self.resource}: {self.why}"
            for group in self.groups(snapshot)
            if not snapshot.find(self.resource, group)
        ]
        values = [(place, read(place.resource, self.property)) for place in self.places(snapshot)]
        return missing + [
            f"{place.resource['name']}: {self.property} is {_shown(value)}, and has to be {self.expected.text}: "
            f"{self.why}"
            for place, value in values
            if not self.expected.accepts(value, place)
        ]

    def unnoticed(self, snapshot: Snapshot) -> list[str]:
        """The resources of which this property can be changed, one at a time, without the rule being broken."""
        return [
            place.resource["name"]
            for place in self.places(snapshot)
            for wrong in self._wrong_values(place)
            if len(self.broken(snapshot.changed(place.resource, self.property, wrong))) != 1
        ]

    def _wrong_values(self, place: Place) -> list[Value]:
        if not self.expected.is_own:
            return [self.expected.spoiled]
        # What is right in another region is wrong in this one.
        others = [read(other.resource, self.property) for other in self.places(place.snapshot)]
        return [
            self.expected.spoiled,
            *(value for value in others if not self.expected.accepts(value, place)),
        ]


def equal(value: Value, text: str | None = None) -> Expected:
    """Exactly this value."""
    spoiled = not value if isinstance(value, bool) else "?"
    return Expected(
        f"= {text or _shown(value)}",
        lambda found, place: type(found) is type(value) and found == value,
        spoiled,
    )


def own(text: str, value: Callable[[Place], Value], *, differs: bool = True) -> Expected:
    """What the place says it is; references are compared by what they name."""
    return Expected(
        f"= {text}", lambda found, place: found is not ABSENT and plain(found) == value(place), "?", differs
    )


def at_least(least: int) -> Expected:
    """A number that is not smaller."""
    return Expected(f">= {least}", lambda found, place: isinstance(found, int) and found >= least, least - 1)


def absent() -> Expected:
    """Not there at all, or null."""
    return Expected("absent", lambda found, place: found is ABSENT, "there")


def present() -> Expected:
    """Anything but nothing."""
    return Expected("present", lambda found, place: found is not ABSENT and found != "", ABSENT)


def matching(pattern: str) -> Expected:
    """A text in which the pattern is found."""
    return Expected(
        f"~ {pattern}",
        lambda found, place: isinstance(found, str) and re.search(pattern, found) is not None,
        "?",
    )


def _shown(value: Value) -> str:
    return "absent" if value is ABSENT else repr(value)
