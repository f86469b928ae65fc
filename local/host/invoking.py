"""Calls a function as the Python worker does."""

import asyncio
import inspect
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

from local.host.indexing import IndexedFunction

__all__ = ["Invoker"]


class Invoker:
    """Runs `async def` on the loop and `def` in a thread, each within `functionTimeout` seconds."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout

    async def call(self, function: IndexedFunction, trigger: object, *, trace_parent: str = "") -> object:
        """Return what the function returns; raises what it raises, and `TimeoutError`.

        A thread cannot be ended: a `def` function that is late runs on, and its result is dropped.
        """
        call = function.user_function
        arguments = {function.parameter: trigger}
        if "context" in inspect.signature(call).parameters and function.parameter != "context":
            arguments["context"] = _context(function, trace_parent)
        async with asyncio.timeout(self._timeout):
            if inspect.iscoroutinefunction(call):
                return await call(**arguments)
            return await asyncio.to_thread(call, **arguments)


@dataclass(frozen=True, slots=True)
class _TraceContext:
    trace_parent: str
    trace_state: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class _RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


@dataclass(frozen=True, slots=True)
class _Context(func.Context):
    invocation_id: str
    function_name: str
    function_directory: str
    thread_local_storage: Any
    trace_context: Any
    retry_context: Any


def _context(function: IndexedFunction, trace_parent: str) -> func.Context:
    return _Context(
        invocation_id=str(uuid.uuid4()),
        function_name=function.name,
        function_directory=str(Path.cwd()),
        thread_local_storage=threading.local(),
        trace_context=_TraceContext(_continued(trace_parent), "", {}),
        retry_context=_RetryContext(),
    )


def _continued(trace_parent: str) -> str:
    """Return a `traceparent` of this call, within the caller's trace if there is one."""
    parts = trace_parent.split("-")
    trace_id = parts[1] if len(parts) == 4 else uuid.uuid4().hex
    return f"00-{trace_id}-{uuid.uuid4().hex[:16]}-01"
