"""What a module may hold when it is imported: values, loggers, and what the Functions host looks for."""

import dataclasses
import json
import logging
import re
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from weakref import WeakKeyDictionary

import azure.functions as func
from azure.functions.decorators.function_app import FunctionBuilder

from tests.architecture.module_rules import KEPT_BY_LOOP, assigned_names, function_names
from tests.architecture.source_tree import Module

SCALARS = (bool, int, float, str, bytes, Enum, types.NoneType)
DEFINED = (type, types.FunctionType, types.ModuleType)
ALIASES = (types.GenericAlias, types.UnionType)
# Both are compiled once and keep nothing of what they read.
READERS = (re.Pattern, json.JSONDecoder)


def impure_values(module: Module, namespace: Mapping[str, object]) -> Iterator[str]:
    """Name what a module holds that is not a constant: a client, a lock, a cache, an empty table to be filled."""
    for name in (*assigned_names(module), *function_names(module)):
        value = namespace[name]
        if not (is_constant(value) or _is_export_list(name, value) or _is_expected(module, name, value)):
            yield f"{module.path}: {name} is a {type(value).__qualname__}, and no constant"


def is_constant(value: object) -> bool:
    """Whether a value is one for good: a scalar, a frozen dataclass, a definition, or a filled table of those."""
    match value:
        case tuple() | frozenset():
            return all(is_constant(item) for item in value)
        case dict() | types.MappingProxyType():
            return bool(value) and all(is_constant(item) for pair in value.items() for item in pair)
        case _ if isinstance(value, (*SCALARS, *DEFINED, *ALIASES, *READERS)):
            return True
        case types.BuiltinFunctionType() | types.MethodType():
            # Bound to an object, it would be a part of that.
            return isinstance(value.__self__, types.ModuleType | type)
        case _ if dataclasses.is_dataclass(value):
            return _is_frozen(value) and all(
                is_constant(getattr(value, field.name)) for field in dataclasses.fields(value)
            )
        case _:
            return type(value).__module__ == typing.__name__


def _is_frozen(value: object) -> bool:
    return bool(getattr(value, "__dataclass_params__").frozen)  # noqa: B009 - no type stub knows it.


def _is_export_list(name: str, value: object) -> bool:
    return name == "__all__" and isinstance(value, list)


def _is_expected(module: Module, name: str, value: object) -> bool:
    """Loggers anywhere; blueprints and what they decorate in triggers; the app; one registry, in `bootstrap.py`."""
    if isinstance(value, logging.Logger):
        return True
    if isinstance(value, func.Blueprint | FunctionBuilder):
        return module.path.endswith("/trigger.py")
    if isinstance(value, func.FunctionApp):
        return (module.path, name) == ("function_app.py", "app")
    return isinstance(value, WeakKeyDictionary) and (module.path, name) == KEPT_BY_LOOP
