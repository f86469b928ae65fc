"""Resolves paths and matches routes as the real host does."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from local.host.indexing import IndexedFunction
from local.host.messages import Refusal

_ENCODED_SLASH = re.compile("%(?=2F)", re.IGNORECASE)
_UNDECODABLE = re.compile("[\udc80-\udcff]")
_PARAMETER = re.compile(r"\{(\w+)\}")
_CATCH_ALL = re.compile(r"\{\*(\w+)\}")


class Router:
    """Finds the function for a request."""

    def __init__(self, functions: Iterable[IndexedFunction], prefix: str) -> None:
        # Observed: the first match in the order of the function names wins. A literal has no precedence over
        # a parameter, nor a parameter over a catch-all, and the order in the file does not matter.
        ordered = sorted(functions, key=lambda function: function.name.lower())
        self._routes = [(compile_route(f"{prefix}/{f.trigger['route']}".strip("/")), f) for f in ordered]

    def find(self, method: str, path: str) -> tuple[IndexedFunction, dict[str, str]] | None:
        """Return the first function that takes the method and the resolved path, and its route parameters."""
        for route, function in self._routes:
            # A function that names no methods takes any.
            methods = function.trigger.get("methods")
            if (not methods or method in methods) and (found := route.fullmatch(path)):
                return function, {name: value for name, value in found.groupdict().items() if value}
        return None


def compile_route(template: str) -> re.Pattern[str]:
    """Turn a route template into a pattern for resolved paths.

    A template has literals, `{name}` for one segment, and `{*name}` at the end for the rest. Case does not matter, and
    one slash may follow. Raises `ValueError` for constraints, defaults, optional and mixed segments.
    """
    *segments, last = template.split("/")
    if catch_all := _CATCH_ALL.fullmatch(last):
        end = f"(?:/(?P<{catch_all[1]}>.*))?"
    else:
        end = _segment(template, last) if last else ""
        end += "/?"
    start = "".join(_segment(template, segment) for segment in segments)
    return re.compile(start + end, re.IGNORECASE | re.DOTALL)


def _segment(template: str, segment: str) -> str:
    if parameter := _PARAMETER.fullmatch(segment):
        return f"/(?P<{parameter[1]}>[^/]+)"
    if "{" in segment or "}" in segment:
        raise ValueError(f"Route {template!r}: the local host does not support {segment!r}.")
    return "/" + re.escape(segment)


def resolve_path(raw: str) -> str:
    """Return the path of a request target as routes see it: decoded once, then without dot segments.

    Observed: `%2F` and bytes that are not UTF-8 (`%ff`) stay encoded. Raises `Refusal`
    (400) for `%00`, and for a target that is not ASCII.
    """
    if "%00" in raw or not raw.isascii():
        raise Refusal(400, close=True)
    decoded = unquote(_ENCODED_SLASH.sub("%25", raw), errors="surrogateescape")
    return _without_dot_segments(_UNDECODABLE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02x}", decoded))


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
