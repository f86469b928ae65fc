"""What a command says: for a person, or one JSON object a line for a script."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass

JsonValue = str | int | bool | None | Mapping[str, str] | list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Output:
    """Writes facts to stdout and what went wrong to stderr, each as one line."""

    as_json: bool

    def tell(self, sentence: str, **fields: JsonValue) -> None:
        """Say one fact: the sentence to a person, the fields to a script."""
        print(json.dumps(fields) if self.as_json else sentence, flush=True)

    def summarise(self, sentence: str) -> None:
        """Say to a person what it all came to; a script counts lines itself."""
        if not self.as_json:
            print(sentence, flush=True)


def complain(sentence: str) -> None:
    """Say what went wrong, to whoever runs the command."""
    print(f"ops: {sentence}", file=sys.stderr, flush=True)


def shown(text: str, at_most: int = 160) -> str:
    """Make a text of unknown origin safe for a terminal: printable ASCII, cut off."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= at_most else f"{escaped[:at_most]}..."


def counted(number: int, noun: str) -> str:
    """Write how many there are: `1 event`, `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
