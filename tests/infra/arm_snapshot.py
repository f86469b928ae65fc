"""Snapshots and templates.

A snapshot holds the resources of one environment, with modules and loops expanded, as the compiler predicts them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
Template = Mapping[str, Any]
Value = Any  # Any JSON value.

# A reference to an output of a module, or of one of a loop of modules.
_OUTPUT = re.compile(
    r"reference\(resourceId\('[^']+', '([^']+)', 'Microsoft\.Resources/deployments', "
    r"format\('(\w+)-\{0\}(?:-\{1\}', (\d+))?.*?\)\), '[\w-]+'\)\.outputs\.(\w+)\.value"
)
ABSENT: Value = object()
"""The value of a property that is missing or null."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All resources and outputs of one environment."""

    resources: tuple[Resource, ...]
    outputs: Mapping[str, Value]

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "Snapshot":
        """Read the compiler's JSON."""
        return cls(tuple(content["predictedResources"]), content.get("outputs", {}))

    @classmethod
    def load(cls, path: Path) -> "Snapshot":
        """Read a file."""
        return cls.parse(json.loads(path.read_text("utf-8")))

    def lines(self) -> list[str]:
        """The snapshot as text, to compare it."""
        content = {"predictedResources": self.resources, "outputs": self.outputs}
        return json.dumps(content, indent=2, sort_keys=True).splitlines()

    def region_groups(self) -> list[str]:
        """The resource groups of the regions."""
        groups = self.find("Microsoft.Resources/resourceGroups")
        return [group["name"] for group in groups if not group["name"].endswith("-global")]

    def find(self, resource: str, group: str | None = None) -> list[Resource]:
        """The resources of a type, of one resource group or all.

        `type:pattern` looks for the last part of the name; a pattern with a slash in it looks at the whole id.
        """
        kind, _, pattern = resource.partition(":")
        return [
            found
            for found in self.resources
            if found["type"] == kind and _fits(found, pattern) and (group is None or group_of(found) == group)
        ]

    def texts(self) -> Iterator[tuple[Resource, str]]:
        """Each text anywhere in a resource."""
        for resource in self.resources:
            for text in texts_in(resource):
                yield resource, text


def plain(value: Value) -> Value:
    """A value in which references, known only at deployment, are shortened to the module or resource that they name."""
    if isinstance(value, str):
        value = _OUTPUT.sub(_output, value)
        return re.sub(r"(reference|listKeys)\('([^']+)', '[\w-]+'\)", r"\1(\2)", value)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def _output(found: re.Match[str]) -> str:
    group, module, number, output = found.groups()
    return f"{group}/{module}{'' if number is None else f'[{number}]'}.{output}"


def group_of(resource: Resource) -> str:
    """The resource group that a resource is in."""
    match = re.search(r"/resourceGroups/([^/]+)|^\[resourceId\('[^']+', '([^']+)'", resource["id"])
    if match is None:
        raise ValueError(f"no resource group in {resource['id']}")
    return match[1] or match[2]


def read(resource: Resource, path: str) -> Value:
    """A property by its path. A segment may be the index of an element."""
    value: Value = resource
    for segment in path.split("."):
        try:
            value = value[int(segment) if isinstance(value, list) else segment]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return ABSENT if value is None else value


def texts_in(value: Value) -> Iterator[str]:
    """Each text anywhere in a value, property names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def nested(template: Template) -> Iterator[Template]:
    """A template, and each template that its modules hold."""
    yield template
    for resource in resources_of(template):
        if resource["type"] == "Microsoft.Resources/deployments":
            yield from nested(resource["properties"]["template"])


def resources_of(template: Template) -> list[Template]:
    """The resources of a template, `existing` ones included, with or without symbolic names."""
    resources = template["resources"]
    return list(resources.values() if isinstance(resources, Mapping) else resources)


def _fits(resource: Resource, pattern: str) -> bool:
    text = resource["id"] if "/" in pattern else resource["name"].split("/")[-1]
    return not pattern or fnmatchcase(text, pattern)
