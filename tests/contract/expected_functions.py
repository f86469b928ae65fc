"""The functions that the app has to have, in the order of their registration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ExpectedFunction:
    """A function and its raw bindings, trigger first, as the engine has to report them to the host."""

    name: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """What makes it run."""
        return self.bindings[0]


def http(
    name: str, route: str, *methods: str, auth_level: Literal["ANONYMOUS", "FUNCTION"] = "ANONYMOUS"
) -> ExpectedFunction:
    """A function behind a route; without methods it takes any."""
    trigger: dict[str, Any] = {
        "direction": "IN",
        "type": "httpTrigger",
        "name": "req",
        "authLevel": auth_level,
        "route": route,
    }
    if methods:
        trigger["methods"] = list(methods)
    return ExpectedFunction(name, (trigger, {"direction": "OUT", "type": "http", "name": "$return"}))


def queue(name: str, queue_name: str) -> ExpectedFunction:
    """A function that takes the messages of a queue of the app's own storage account."""
    trigger = {
        "direction": "IN",
        "type": "queueTrigger",
        "name": "message",
        "queueName": queue_name,
        "connection": "AzureWebJobsStorage",
    }
    return ExpectedFunction(name, (trigger,))


def timer(name: str, schedule: str) -> ExpectedFunction:
    """A function that runs on a schedule, not when an instance starts, and for a run that was missed."""
    trigger = {
        "direction": "IN",
        "type": "timerTrigger",
        "name": "timer",
        "schedule": schedule,
        "runOnStartup": False,
        "useMonitor": True,
    }
    return ExpectedFunction(name, (trigger,))


FUNCTIONS = (
    http("create_session", "sessions", "POST"),
    http("get_result", "sessions/{sessionId}", "GET", "HEAD"),
    http("revoke_session", "sessions/{sessionId}", "DELETE"),
    http("audit_session", "sessions/{sessionId}/audit", "GET", "HEAD", auth_level="FUNCTION"),
    http("health", "health", "GET", "HEAD"),
    http("ready", "ready", "GET", "HEAD", auth_level="FUNCTION"),
    http("openapi", "openapi.json", "GET", "HEAD"),
    queue("collect_result", "liveness-results"),
    timer("purge_expired", "0 17 * * * *"),
    http("unknown_route", "{*path}"),
)
