"""Reads the functions out of a `func.FunctionApp`, as the Python worker reports them to the host."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function

_TRIGGERS = ("httpTrigger", "queueTrigger", "timerTrigger")


class IndexingError(ValueError):
    """A function uses a feature that this host does not have; the message names the function."""


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """A function, and its trigger: the JSON that the worker sends to the host."""

    name: str
    user_function: Callable[..., Awaitable[object]]
    trigger: Mapping[str, Any]

    async def call(self, argument: object, timeout: float) -> object:
        """Run the function for `timeout` seconds at most; raises what it raises, and `TimeoutError`."""
        async with asyncio.timeout(timeout):
            return await self.user_function(**{self.trigger["name"]: argument})


def index(app: func.FunctionApp) -> list[IndexedFunction]:
    """Read every function of the app; raises `IndexingError`, and `ValueError` for a name used twice."""
    # get_functions() remembers the names it saw, and would report duplicates in a second call.
    app.functions_bindings = None
    return [_read(function) for function in app.get_functions()]


def _read(function: Function) -> IndexedFunction:
    name = str(function.get_function_name())
    bindings = [json.loads(raw) for raw in function.get_raw_bindings()]
    trigger = next(binding for binding in bindings if binding["type"].lower().endswith("trigger"))
    for binding in bindings:
        if binding is not trigger and (binding["type"], binding["name"]) != ("http", "$return"):
            raise IndexingError(f"Function {name!r}: the local host has no binding {binding['type']!r}.")
    if trigger["type"] not in _TRIGGERS:
        raise IndexingError(f"Function {name!r}: the local host has no trigger {trigger['type']!r}.")
    user_function = function.get_user_function()
    if inspect.signature(user_function).parameters.keys() != {trigger["name"]}:
        raise IndexingError(f"Function {name!r}: the local host passes the trigger only, and no context.")
    if not inspect.iscoroutinefunction(user_function):
        raise IndexingError(f"Function {name!r}: the local host runs no 'def', only 'async def'.")
    return IndexedFunction(name, user_function, trigger)
