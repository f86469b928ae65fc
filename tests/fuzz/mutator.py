"""Makes new inputs from old ones: changes bytes, and parts of JSON as such."""

import copy
import json
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

LONGEST: Final = 8_192
"""Bytes of an input, apart from the few that are deep or long on purpose."""

_DEEP, _LONG = "\x00deep", "\x00long"
_MARKS: Final = {json.dumps(_DEEP).encode(): (b"[", b"]"), json.dumps(_LONG).encode(): (b"", b"9")}
_DEPTHS: Final = (10, 200, 330, 500, 990, 1_500, 3_000, 10_000, 50_000)
_NESTED: Final = (b"[" * 50, b'{"a":' * 50)
_NUMBERS: Final = (
    0,
    -1,
    1,
    200,
    2**31,
    2**53,
    2**63,
    -(2**63),
    2**64,
    10**400,
    1.5,
    1e308,
    float("inf"),
    float("nan"),
)
_ODD: Final = ("", " ", "0", "\ud800", "\u0130", "\u202e", "\x00", "\n", "a" * 300, _DEEP, _LONG)
_KNOWN: Final = ("realface", "RealFace", "spoofface", "Succeeded", "Failed", "ResultAvailable")
_TIMES: Final = ("9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00", "2026-11-23T09:52:00.000Z")
_OTHERS: Final[tuple[Any, ...]] = (None, True, False, [], {}, [[]], [None], {"": None}, [1, 2])
_VALUES: Final[tuple[Any, ...]] = _NUMBERS + _ODD + _KNOWN + _TIMES + _OTHERS
_WORDS: Final = (
    *(
        rb", ; : = / . - + [ ] { } % :: .. 0 \u0000 \ud800 1e999 NaN Infinity -0000 +9999 GMT null true".split()
    ),
    *(b"realface spoofface Succeeded \xff \xed\xa0\x80 \xc4\xb0 \xe2\x80\xae \xd9\xa3".split()),
    *(b"\x00", b"\n", b"\r\n", b" ", b'"', b"retry-after: ", b"date: ", b"\n\n"),
    *(b"9" * 20, b"9" * 400, b"[" * 1_000, b'{"a":' * 1_000),
)


class Mutator:
    """A seeded source of inputs; the same seed makes the same inputs."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - choices of cases, not secrets.

    def choose(self, pool: Sequence[bytes]) -> bytes:
        """One of the inputs so far."""
        return pool[int(self._random.random() * len(pool))]

    def mutated(self, data: bytes) -> bytes:
        """Another input, by one to four changes; the head and the body of a message change apart."""
        for _ in range(self._random.choice((1, 1, 1, 2, 2, 4))):
            head, gap, body = data.partition(b"\n\n")
            if gap and self._random.random() < 0.7:
                data = head + gap + self._changed(body)
            else:
                data = self._changed(head) + gap + body
        return data

    def _changed(self, data: bytes) -> bytes:
        if (
            data[:1] in (b"{", b"[")
            and self._random.random() < 0.8
            and not any(deep in data for deep in _NESTED)
        ):
            with suppress(ValueError):
                return self._changed_json(json.loads(data))
        return self._changed_bytes(data)

    def _changed_bytes(self, data: bytes) -> bytes:
        chance = self._random
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 1, 2, 4, 16)))
        part = data[start:end]
        match chance.randint(0, 6):
            case 0:
                new = b""
            case 1:
                new = part * chance.choice((2, 2, 3, 50))
            case 2:
                new = bytes([chance.randint(0, 255)])
            case 3:
                new = chance.choice(_WORDS)
            case 4:
                new = part + chance.choice(_WORDS)
            case 5:
                new = part.swapcase()
            case _:
                new = bytes([part[0] ^ (1 << chance.randint(0, 7))]) + part[1:] if part else b""
        changed = data[:start] + new + data[end:]
        return changed if len(changed) <= LONGEST else data[:start]

    def _changed_json(self, content: Any) -> bytes:  # noqa: ANN401 - JSON.
        holder: dict[str, Any] = {"": content}
        place: Any = holder
        key: Any = ""
        # Down to some part of the content; often as far as it goes.
        while isinstance(place[key], dict | list) and place[key] and self._random.random() < 0.8:
            place = place[key]
            key = (
                self._random.choice(list(place))
                if isinstance(place, dict)
                else self._random.randrange(len(place))
            )
        self._change_part(place, key)
        made = json.dumps(holder[""]).encode() if "" in holder else b""
        return self._with_marks(made) if len(made) <= LONGEST else b"{}"

    def _change_part(self, place: Any, key: Any) -> None:  # noqa: ANN401 - JSON.
        chance = self._random
        match chance.randint(0, 5):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[self._odd_text(str(key))] = place.pop(key)
            case 1 | 2 if isinstance(place, list):
                place.insert(chance.randint(0, len(place)), copy.deepcopy(place[key]))
            case 3 if isinstance(place[key], str):
                place[key] = self._odd_text(place[key])
            case 4 if isinstance(place[key], int):
                place[key] += chance.choice((-1, 1, 256, -(2**32)))
            case _:
                place[key] = copy.deepcopy(chance.choice(_VALUES))

    def _odd_text(self, text: str) -> str:
        return self._changed_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")

    def _with_marks(self, made: bytes) -> bytes:
        for mark, (opening, closing) in _MARKS.items():
            if mark in made:
                depth = self._random.choice(_DEPTHS)
                made = made.replace(mark, opening * depth + closing * depth, 1)
        return made
