"""The paths of the public contract, relative to the route prefix `api`."""

import re

from shared.values import immutable


@immutable
class Route:
    """One function's path and methods, as the Functions host is told."""

    path: str
    methods: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether a concrete path belongs to this route; the host compares without regard to case."""
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.path))
        return re.fullmatch(pattern, path.removesuffix("/"), re.IGNORECASE) is not None


_READ = ("GET", "HEAD")

CREATE_SESSION = Route("sessions", ("POST",))
GET_RESULT = Route("sessions/{sessionId}", _READ)
REVOKE_SESSION = Route("sessions/{sessionId}", ("DELETE",))
AUDIT_SESSION = Route("sessions/{sessionId}/audit", _READ)
HEALTH = Route("health", _READ)
READY = Route("ready", _READ)
OPENAPI = Route("openapi.json", _READ)

ROUTES = (CREATE_SESSION, GET_RESULT, REVOKE_SESSION, AUDIT_SESSION, HEALTH, READY, OPENAPI)


def allowed_methods(path: str) -> tuple[str, ...]:
    """The methods of a concrete path, sorted; empty where nothing is at the path."""
    return tuple(sorted({method for route in ROUTES if route.matches(path) for method in route.methods}))
