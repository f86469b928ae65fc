"""In which order the resources of a compiled template are made."""

from collections.abc import Iterator, Mapping
from typing import Any

Template = Mapping[str, Any]

_DEPLOYMENT = "Microsoft.Resources/deployments"
_ROLE = "Microsoft.Authorization/roleAssignments"
_SITE = "Microsoft.Web/sites"


def roles_not_before_the_app(template: Template) -> list[str]:
    """Parts of a template with role assignments that an app does not wait for; parts are resources and modules."""
    parts: Mapping[str, Template] = template["resources"]
    apps = [name for name, part in parts.items() if _SITE in set(_types(part))]
    roles = {name for name, part in parts.items() if _ROLE in set(_types(part))}
    return [
        f"{role} has role assignments, and {app} is made without waiting for them"
        for app in apps
        for role in sorted(roles - _waited_for(parts, app))
    ]


def app_waits_for(template: Template) -> set[str]:
    """The parts of a region that are there before its app is."""
    return _waited_for(template["resources"], "functionApp")


def written_once(template: Template) -> set[str]:
    """The resources that a deployment leaves alone where they are already."""
    parts: Mapping[str, Template] = template["resources"]
    return {name for name, part in parts.items() if part.get("@options") == {"onlyIfNotExists": []}}


def made_at_once(template: Template) -> set[str]:
    """The loops of a template of which several are made at the same time."""
    parts: Mapping[str, Template] = template["resources"]
    return {
        name for name, part in parts.items() if part.get("copy", {"mode": "serial"}).get("mode") != "serial"
    }


def nested(template: Template) -> Iterator[Template]:
    """A template, and each that its modules hold."""
    yield template
    for resource in resources_of(template):
        if resource["type"] == _DEPLOYMENT:
            yield from nested(resource["properties"]["template"])


def resources_of(template: Template) -> list[Template]:
    """The resources of a template, `existing` ones included, whether they have symbolic names or not."""
    resources = template["resources"]
    return list(resources.values() if isinstance(resources, Mapping) else resources)


def _types(part: Template) -> Iterator[str]:
    if part.get("existing"):
        return
    yield part["type"]
    if part["type"] == _DEPLOYMENT:
        for resource in resources_of(part["properties"]["template"]):
            yield from _types(resource)


def _waited_for(parts: Mapping[str, Template], name: str) -> set[str]:
    waited: set[str] = set()
    left = [name]
    while left:
        found = set(parts[left.pop()].get("dependsOn", ())) - waited
        waited |= found
        left.extend(found)
    return waited
