"""Reads the functions out of a `func.FunctionApp`, as the worker tells them to the host."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function

__all__ = [
    "FunctionIndex",
    "HttpFunction",
    "IndexedFunction",
    "IndexingError",
    "QueueFunction",
    "TimerFunction",
    "index",
]


class IndexingError(ValueError):
    """A function uses something that this host does not have; the message names the function."""


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """A function and the parameter in which it takes what triggered it."""

    name: str
    user_function: Callable[..., Any]
    parameter: str


@dataclass(frozen=True, slots=True)
class HttpFunction(IndexedFunction):
    """A function behind a route, which does not hold the route prefix; no methods means any method."""

    route: str
    methods: frozenset[str] | None
    auth_level: func.AuthLevel


@dataclass(frozen=True, slots=True)
class QueueFunction(IndexedFunction):
    """A function fed by a storage queue; `%SETTING%` in the name is left for the reader to fill in."""

    queue_name: str
    connection: str


@dataclass(frozen=True, slots=True)
class TimerFunction(IndexedFunction):
    """A function run on a schedule of six fields (NCRONTAB), or `%SETTING%`."""

    schedule: str


@dataclass(frozen=True, slots=True)
class FunctionIndex:
    """All functions of an app, in the order of their names."""

    http: tuple[HttpFunction, ...]
    queues: tuple[QueueFunction, ...]
    timers: tuple[TimerFunction, ...]


def index(app: func.FunctionApp) -> FunctionIndex:
    """Read every function of the app; what the decorators produced is authoritative.

    Raises `IndexingError` for a binding that this host lacks, and `ValueError` (from `azure.functions`) for a
    function without a trigger or a name used twice.
    """
    # get_functions() remembers the names it saw and takes a second call for duplicates.
    app.functions_bindings = None
    # Alphabetical order is what decides between two routes that both match.
    found = sorted((_read(function) for function in app.get_functions()), key=lambda f: f.name.lower())
    return FunctionIndex(
        http=tuple(f for f in found if isinstance(f, HttpFunction)),
        queues=tuple(f for f in found if isinstance(f, QueueFunction)),
        timers=tuple(f for f in found if isinstance(f, TimerFunction)),
    )


def _read(function: Function) -> IndexedFunction:
    name = str(function.get_function_name())
    # The raw bindings are the JSON that the worker sends to the host.
    bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
    trigger = next(binding for binding in bindings if binding["type"].lower().endswith("trigger"))
    for binding in bindings:
        if binding is not trigger and (binding["type"], binding["name"]) != ("http", "$return"):
            raise IndexingError(f"Function {name!r}: the local host has no binding {binding['type']!r}.")
    common = (name, function.get_user_function(), trigger["name"])
    match trigger["type"]:
        case "httpTrigger":
            return HttpFunction(*common, trigger["route"], _methods(trigger), _auth_level(trigger))
        case "queueTrigger":
            return QueueFunction(*common, trigger["queueName"], trigger["connection"])
        case "timerTrigger":
            return TimerFunction(*common, trigger["schedule"])
        case kind:
            raise IndexingError(f"Function {name!r}: the local host has no trigger {kind!r}.")


def _methods(trigger: dict[str, Any]) -> frozenset[str] | None:
    methods = trigger.get("methods")
    return frozenset(methods) if methods else None


def _auth_level(trigger: dict[str, Any]) -> func.AuthLevel:
    return func.AuthLevel[trigger.get("authLevel", "FUNCTION")]
