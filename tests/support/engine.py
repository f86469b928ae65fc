"""The production invocation engine, driven as the Functions host drives it.

From Python 3.13 on, Azure runs functions with PyPI's `azure-functions-runtime`. The engine is handed the module of
generated protobuf classes by the worker around it, so a stand-in for that module is all that it needs to run here.
"""

import importlib
import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_ROOT = Path(__file__).parents[2]
_FIRST_PYTHON = (3, 13)


class EngineFailure(Exception):
    """The engine answered with the status Failure; the text is what the host would log."""


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """One function as the engine reports it to the host, its raw bindings read from JSON, the trigger among them."""

    name: str
    function_id: str
    bindings: tuple[Mapping[str, Any], ...]

    @property
    def trigger(self) -> Mapping[str, Any]:
        """The binding that makes the function run."""
        return next(binding for binding in self.bindings if binding["type"].endswith("Trigger"))


@dataclass(frozen=True, slots=True)
class EngineResponse:
    """What a function answered, as the host is handed it: one value per header field name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        """One header field, whatever the case of its name."""
        return {field.lower(): value for field, value in self.headers.items()}.get(name.lower())

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON there is.
        return json.loads(self.body)


class Engine:
    """An indexed app: `functions` in the order of their registration, to be called by name."""

    def __init__(self, runtime: ModuleType, functions: tuple[IndexedFunction, ...]) -> None:
        self._runtime = runtime
        self.functions = functions

    def function(self, name: str) -> IndexedFunction:
        return next(function for function in self.functions if function.name == name)

    async def http(
        self,
        name: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        route_params: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> EngineResponse:
        """Run a function with an HTTP trigger.

        As the host does, header names are handed over in lower case, and `Content-Length` is there where a body is.
        Raises `EngineFailure` where the function raises, or answers anything but an `HttpResponse`.
        """
        length = {"content-length": str(len(body))} if body else {}
        request = _Message(
            method=method,
            url=url,
            headers=length | {field.lower(): value for field, value in (headers or {}).items()},
            query=params or {},
            params=route_params or {},
            body=_TypedData(bytes=body) if body else _TypedData(),
        )
        returned = await self._invoke(name, _TypedData(http=request), {})
        if returned is None or returned.WhichOneof("data") != "http":
            raise EngineFailure(f"{name} did not answer with an HttpResponse")
        answer = returned.http
        return EngineResponse(int(answer.status_code), answer.headers, answer.body.bytes)

    async def queue(self, name: str, text: str, *, dequeue_count: int = 1) -> None:
        """Run a function with a queue trigger; raises `EngineFailure` where the function raises."""
        metadata = {
            "Id": _TypedData(string=str(uuid.uuid4())),
            "PopReceipt": _TypedData(string="a-pop-receipt"),
            "DequeueCount": _TypedData(json=str(dequeue_count)),
        }
        await self._invoke(name, _TypedData(string=text), metadata)

    async def timer(self, name: str, *, past_due: bool = False) -> None:
        """Run a function with a timer trigger; raises `EngineFailure` where the function raises."""
        information = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": dict.fromkeys(("Last", "Next", "LastUpdated"), "2026-11-23T13:17:00+00:00"),
            "IsPastDue": past_due,
        }
        await self._invoke(name, _TypedData(json=json.dumps(information)), {})

    async def _invoke(self, name: str, data: "_TypedData", metadata: Mapping[str, "_TypedData"]) -> Any:  # noqa: ANN401 - a message.
        function = self.function(name)
        invocation = _Message(
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[_ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=metadata,
            trace_context=_Message(trace_parent="", trace_state="", attributes={}),
            retry_context=_Message(retry_count=0, max_retry_count=0, exception=None),
        )
        response = _successful(
            await self._runtime.invocation_request(_request(invocation_request=invocation))
        )
        return response.return_value


async def start_engine(directory: Path = _ROOT) -> Engine:
    """Index and load the app in `directory`, which has to be on the import path.

    The app is imported in this process, by its name: an import before this one counts. Raises `EngineFailure`.
    """
    runtime = require_runtime()
    init = _Message(capabilities={}, function_app_directory=str(directory))
    _successful(await runtime.worker_init_request(_request(worker_init_request=init)))
    found = _successful(await runtime.functions_metadata_request(_request()))
    functions = tuple(_indexed(metadata) for metadata in found.function_metadata_results or ())
    for function in functions:
        load = _Message(function_id=function.function_id)
        _successful(await runtime.function_load_request(_request(function_load_request=load)))
    return Engine(runtime, functions)


def require_runtime() -> ModuleType:
    """The engine's package; skips the test on a Python that it does not exist for, and says so."""
    try:
        return importlib.import_module("azure_functions_runtime")
    except ModuleNotFoundError:
        # Imported here: a benchmark measures a start without the modules that pytest imports.
        import pytest

        if sys.version_info[:2] < _FIRST_PYTHON:
            pytest.skip(
                "The production engine exists for Python 3.13 and newer only, so here a skip is right, in CI too."
            )
        missing = (
            "azure-functions-runtime, the production engine, is not installed: see requirements-dev.txt."
        )
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)


class _Message(SimpleNamespace):
    """A protobuf message, as far as the engine looks at one: its fields."""


class _TypedData(_Message):
    """A value of one of several kinds, or of none."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name.
        assert group == "data"
        return next(iter(vars(self)), None)


class _ParameterBinding(_Message):
    """A parameter's name and value."""

    def WhichOneof(self, group: str) -> str:  # noqa: N802 - protobuf's name.
        assert group == "rpc_data"
        return "data"


class _StatusResult(_Message):
    Failure = 0
    Success = 1


_PLAIN_MESSAGES = """
    FunctionLoadResponse FunctionMetadataResponse InvocationResponse RpcException RpcFunctionMetadata RpcHttp
    RpcRetryOptions WorkerInitResponse WorkerMetadata
"""
# The numbers are those of FunctionRpc.proto in azure-functions-language-worker-protobuf.
_PROTOS = SimpleNamespace(
    BindingInfo=type("BindingInfo", (_Message,), {"out": 1, "inout": 2, "undefined": 0}),
    StatusResult=_StatusResult,
    TypedData=_TypedData,
    ParameterBinding=_ParameterBinding,
    **dict.fromkeys(_PLAIN_MESSAGES.split(), _Message),
)


def _request(**content: _Message) -> _Message:
    return _Message(request=_Message(**content), properties={"host": "127.0.0.1", "protos": _PROTOS})


def _successful(response: Any) -> Any:  # noqa: ANN401 - a message of the engine.
    if response.result.status != _StatusResult.Success:
        raise EngineFailure(response.result.exception.message)
    return response


def _indexed(metadata: Any) -> IndexedFunction:  # noqa: ANN401 - a message of the engine.
    bindings = tuple(json.loads(raw) for raw in metadata.raw_bindings)
    return IndexedFunction(metadata.name, metadata.function_id, bindings)
