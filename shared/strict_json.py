"""JSON without leniency: UTF-8 only, no duplicate names, no NaN, no half characters."""

import json
from typing import Any


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON can be anything; models narrow it.
    """Parse a bounded number of bytes; raises `ValueError` for whatever is not strict JSON, however deep."""
    try:
        content = _DECODER.decode(body.decode("utf-8"))
        # Lone surrogates written as escapes, NaN and endless numbers pass the parser, and fail only here.
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except RecursionError as problem:
        raise ValueError("nested too deep") from problem
    return content


def _unique_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate names")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_names)
