"""What a fuzzer is, and how its inputs are made into what a parser takes."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shared.http_port import HttpAnswer

T = TypeVar("T")
Parse = Callable[[bytes], object]

_LOOP: Final = asyncio.new_event_loop()


@dataclass(frozen=True, slots=True)
class Target:
    """One parser, as `fuzzer` describes it."""

    name: str
    parse: Parse
    declared: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]

    def run(self, data: bytes) -> None:
        """Read one input; raises whatever is not declared."""
        try:
            self.parse(data)
        except AssertionError:
            raise
        except self.declared:
            pass


TARGETS: Final[dict[str, Target]] = {}
"""All fuzzers, by their names."""


def fuzzer(
    name: str, *seeds: bytes | str | Mapping[str, Any], raises: tuple[type[Exception], ...] = ()
) -> Callable[[Parse], Parse]:
    """Make a fuzzer of a function that reads an input with a parser and asserts what must be true of the result.

    `raises` are the errors that the parser may raise. `seeds` are inputs that are good, or nearly; one that is neither
    bytes nor text is sent as JSON.
    """

    def add(parse: Parse) -> Parse:
        TARGETS[name] = Target(name, parse, raises, tuple(map(_input_of, seeds)))
        return parse

    return add


def _input_of(seed: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(seed, bytes):
        return seed
    return (seed if isinstance(seed, str) else json.dumps(seed)).encode()


def complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end."""
    return _LOOP.run_until_complete(coroutine)


def text_of(data: bytes) -> str:
    """The input as text; bytes that are no UTF-8 become lone surrogates, as some servers make them of headers."""
    return data.decode("utf-8", "surrogateescape")


def object_of(data: bytes) -> dict[str, Any] | None:
    """The input as a JSON object, read as loosely as Python can, or None."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def message_of(data: bytes) -> tuple[dict[str, str], bytes]:
    """The input as lines `name: value`, an empty line, and a body."""
    head, _, body = data.partition(b"\n\n")
    lines = (line.partition(":") for line in text_of(head).split("\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}, body


def response_of(data: bytes) -> HttpAnswer:
    """The input as a response of Face; the line `:status` holds its status."""
    headers, body = message_of(data)
    status = headers.pop(":status", "200")
    return HttpAnswer(
        int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 200, headers, body
    )


def message(body: object = b"", **head: object) -> bytes:
    """Make an input for `message_of`; a body that is not bytes is sent as JSON."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in head.items()]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "\n".join(lines).encode() + b"\n\n" + content


def answer(body: object, status: int = 200, **headers: object) -> bytes:
    """Make an input for `response_of`: a JSON answer of Face."""
    return f":status: {status}\n".encode() + message(body, content_type="application/json", **headers)
