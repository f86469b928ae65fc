"""Resolves paths and matches routes as the real host does."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from local.host.indexing import HttpFunction

_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_PARAMETER = re.compile(r"\{(\*?)(\w+)\}")


class BadPathError(ValueError):
    """The path is refused with 400 before routes are matched."""


@dataclass(frozen=True, slots=True)
class Match:
    """A function, and the values of its route parameters."""

    function: HttpFunction
    route_params: Mapping[str, str]


class Router:
    """Finds the function for a request."""

    def __init__(self, functions: Iterable[HttpFunction], prefix: str) -> None:
        # Observed: the first match in the order of the function names wins. A literal has no precedence over
        # a parameter, nor a parameter over a catch-all, and the order in the file does not matter.
        ordered = sorted(functions, key=lambda function: function.name.lower())
        self._routes = [(Route.parse(f"{prefix}/{f.route}".strip("/")), f) for f in ordered]

    def find(self, method: str, path: str) -> Match | None:
        """Return the first function that takes the method and the resolved path."""
        for route, function in self._routes:
            if function.methods is None or method in function.methods:
                params = route.match(path)
                if params is not None:
                    return Match(function, params)
        return None


@dataclass(frozen=True, slots=True)
class Route:
    """A route template: literals, `{name}` for one segment, and `{*name}` at the end for the rest."""

    segments: tuple[str, ...]
    catch_all: str | None

    @classmethod
    def parse(cls, template: str) -> Self:
        """Read a template; raises `ValueError` for constraints, defaults, optional and mixed segments."""
        segments = template.split("/") if template else []
        catch_all = None
        for position, segment in enumerate(segments):
            parameter = _PARAMETER.fullmatch(segment)
            if parameter is None and ("{" in segment or "}" in segment):
                raise ValueError(f"Route {template!r}: the local host does not support {segment!r}.")
            if parameter and parameter[1]:
                if position != len(segments) - 1:
                    raise ValueError(f"Route {template!r}: a catch-all comes last.")
                catch_all = parameter[2]
        return cls(tuple(segments[:-1] if catch_all else segments), catch_all)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters if the resolved path fits, else None."""
        if not path.startswith("/"):
            return None
        parts = path[1:].split("/")
        rest = "/".join(parts[len(self.segments) :])
        if len(parts) < len(self.segments) or (rest and not self.catch_all):
            return None
        params: dict[str, str] = {}
        for segment, part in zip(self.segments, parts, strict=False):
            if not _fits(segment, part, params):
                return None
        if self.catch_all and rest:
            params[self.catch_all] = rest
        return params


def resolve_path(raw: str) -> str:
    """Return the path of a request target as routes see it: decoded once, then without dot segments.

    Observed: `%2e%2e` is resolved and `%20` decoded before a route is matched, while `%2F` and bytes that are
    not UTF-8 (`%ff`) stay encoded. Raises `BadPathError` for `%00`, and for a target that is not ASCII.
    """
    if not raw.isascii():
        raise BadPathError("not ASCII")
    return _without_dot_segments(_ENCODED.sub(_decode_run, raw))


def _fits(segment: str, part: str, params: dict[str, str]) -> bool:
    parameter = _PARAMETER.fullmatch(segment)
    if parameter is None:
        return segment.lower() == part.lower()
    params[parameter[2]] = part
    return part != ""


def _decode_run(run: re.Match[str]) -> str:
    text = run[0]
    decoded, position = [], 0
    for character in bytes.fromhex(text.replace("%", "")).decode("utf-8", "surrogateescape"):
        if character == "\0":
            raise BadPathError("a null character")
        end = position + 3 * len(character.encode("utf-8", "surrogateescape"))
        undecodable = "\udc80" <= character <= "\udcff"
        decoded.append(text[position:end] if undecodable or character == "/" else character)
        position = end
    return "".join(decoded)


def _without_dot_segments(path: str) -> str:
    """Apply RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join([segments[0], *kept])
