"""The functions that the app has to have, in the order of their registration, with their bindings, trigger first."""

from collections.abc import Mapping
from typing import Any, Final

Bindings = tuple[Mapping[str, Any], ...]


def http(route: str, *methods: str, auth_level: str = "ANONYMOUS") -> Bindings:
    """A function behind a route; without methods it takes any."""
    trigger = {
        "direction": "IN",
        "type": "httpTrigger",
        "name": "req",
        "authLevel": auth_level,
        "route": route,
    }
    named = {"methods": list(methods)} if methods else {}
    return trigger | named, {"direction": "OUT", "type": "http", "name": "$return"}


FUNCTIONS: Final[dict[str, Bindings]] = {
    "create_session": http("sessions", "POST"),
    "get_result": http("sessions/{sessionId}", "GET", "HEAD"),
    "revoke_session": http("sessions/{sessionId}", "DELETE"),
    "audit_session": http("sessions/{sessionId}/audit", "GET", "HEAD", auth_level="FUNCTION"),
    "health": http("health", "GET", "HEAD"),
    "ready": http("ready", "GET", "HEAD", auth_level="FUNCTION"),
    "openapi": http("openapi.json", "GET", "HEAD"),
    "collect_result": (
        {
            "direction": "IN",
            "type": "queueTrigger",
            "name": "message",
            "queueName": "liveness-results",
            # The app's own storage account.
            "connection": "AzureWebJobsStorage",
        },
    ),
    "purge_expired": (
        {
            "direction": "IN",
            "type": "timerTrigger",
            "name": "timer",
            "schedule": "0 17 * * * *",
            # On its schedule, not when an instance starts, and for a run that was missed.
            "runOnStartup": False,
            "useMonitor": True,
        },
    ),
    "unknown_route": http("{*path}"),
}
