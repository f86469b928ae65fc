"""JSON as strictly as the contract asks: UTF-8 only, one object, no duplicate keys, no NaN, no half characters."""

import json
from typing import Any, NoReturn

from shared.errors import InvalidRequestBody


def parse_object(body: bytes) -> dict[str, Any]:
    """Read one JSON object from at most some kilobytes; raises `InvalidRequestBody`, whatever is in there."""
    try:
        # A lone surrogate written as an escape passes the parser and would only fail when it is sent on.
        parsed = _DECODER.decode(body.decode("utf-8"))
        json.dumps(parsed, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise InvalidRequestBody(f"not strict JSON: {type(problem).__name__}") from problem
    if not isinstance(parsed, dict):
        raise InvalidRequestBody("not an object")
    return parsed


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate names")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
