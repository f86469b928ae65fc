"""Reads the functions out of a `func.FunctionApp`, as the Python worker reports them to the host."""

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function


class IndexingError(ValueError):
    """A function uses a feature that this host does not have; the message names the function."""


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """A function, and the parameter that takes its trigger."""

    name: str
    user_function: Callable[..., Any]
    parameter: str

    async def call(self, trigger: object, timeout: float | None) -> object:
        """Run `async def` on the loop and `def` in a thread; raises what the function raises, and `TimeoutError`.

        A thread cannot be ended: after `timeout` seconds a `def` function runs on, and its result is dropped.
        """
        arguments = {self.parameter: trigger}
        async with asyncio.timeout(timeout):
            if inspect.iscoroutinefunction(self.user_function):
                return await self.user_function(**arguments)
            return await asyncio.to_thread(self.user_function, **arguments)


@dataclass(frozen=True, slots=True)
class HttpFunction(IndexedFunction):
    """A function with a route, given without the route prefix. `methods` None means any method."""

    route: str
    methods: frozenset[str] | None
    auth_level: func.AuthLevel


@dataclass(frozen=True, slots=True)
class QueueFunction(IndexedFunction):
    """A function that takes the messages of a storage queue."""

    queue_name: str


class TimerFunction(IndexedFunction):
    """A function with a schedule."""


@dataclass(frozen=True, slots=True)
class FunctionIndex:
    """All functions of an app."""

    http: tuple[HttpFunction, ...]
    queues: tuple[QueueFunction, ...]
    timers: tuple[TimerFunction, ...]


def index(app: func.FunctionApp) -> FunctionIndex:
    """Read every function of the app; raises `IndexingError`, and `ValueError` for a name used twice."""
    # get_functions() remembers the names it saw, and would report duplicates in a second call.
    app.functions_bindings = None
    found = [_read(function) for function in app.get_functions()]
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
    call = function.get_user_function()
    if inspect.signature(call).parameters.keys() != {trigger["name"]}:
        raise IndexingError(f"Function {name!r}: the local host passes the trigger only, and no context.")
    common = (name, call, trigger["name"])
    match trigger["type"]:
        case "httpTrigger":
            methods = frozenset(trigger.get("methods") or ())
            level = func.AuthLevel[trigger.get("authLevel", "FUNCTION")]
            return HttpFunction(*common, trigger["route"], methods or None, level)
        case "queueTrigger":
            return QueueFunction(*common, trigger["queueName"])
        case "timerTrigger":
            return TimerFunction(*common)
        case kind:
            raise IndexingError(f"Function {name!r}: the local host has no trigger {kind!r}.")
