"""Readers of stored values. Each returns what was written, or raises `ValueError` for anything else.

A row may hold anything: an operator can edit it, and another release may have written it.
"""

from typing import Any

from shared.text import LATEST, parse_json


def text(value: object) -> str:
    """Read a text that can be written again."""
    if not isinstance(value, str):
        raise ValueError("not a text")
    # Raises `ValueError` for a lone surrogate.
    value.encode()
    return value


def count(value: object) -> int:
    """Read a number that counts something."""
    # The exact type, because a bool is an `int` too.
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value


def moment(value: object) -> int:
    """Read a time in unix milliseconds."""
    if count(value) > LATEST:
        raise ValueError("not a time")
    return count(value)


def flag(value: object) -> bool:
    """Read a truth value."""
    if not isinstance(value, bool):
        raise ValueError("not a flag")
    return value


def json_list(value: object) -> list[Any]:
    """Read a list in JSON."""
    content = parse_json(text(value).encode())
    if not isinstance(content, list):
        raise ValueError("not a list")
    return content
