"""What a command writes (results to stdout, everything else to stderr), and the errors that it ends with."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

JsonValue = str | int | bool | None | Mapping[str, str] | list[dict[str, str]]


_PROGRESS_SECONDS: Final = 10


class CommandFailed(Exception):
    """The command could not do all that it was asked to; the text is the line that the operator reads."""

    status: ClassVar[int] = 1


class UsageError(CommandFailed):
    """An argument or a setting is wrong or missing."""

    status: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Output:
    """Writes results to stdout: sentences for a person, or one JSON object a line for a script."""

    as_json: bool = False

    def result(self, sentence: str, **fields: JsonValue) -> None:
        """Write one result: the sentence for a person, the fields, or else the sentence, for a script."""
        print(json.dumps(fields or {"result": sentence}) if self.as_json else sentence, flush=True)

    def summary(self, sentence: str) -> None:
        """Write what the results add up to. A script can count lines itself, and gets nothing."""
        if not self.as_json:
            print(sentence, flush=True)


def notify(sentence: str) -> None:
    """Write a line to stderr: the target of the command, or an error."""
    print(f"ops: {sentence}", file=sys.stderr, flush=True)


def confirm(question: str) -> None:
    """Ask before something is destroyed. The event loop stands still meanwhile.

    Raises `CommandFailed` unless the answer is yes, and `UsageError` where there is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError("this destroys something, and nobody can be asked here: add --yes")
    # The handler of asyncio only cancels the task, which cannot end before the line is read.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(f"ops: {question} [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        print(file=sys.stderr)
        answer = ""
    finally:
        signal.signal(signal.SIGINT, handler)
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandFailed("nothing was changed")


@asynccontextmanager
async def progress(tell: Callable[[], str]) -> AsyncIterator[None]:
    """Write a line about the work inside to stderr every ten seconds."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            notify(f"{tell()} ...")

    telling = asyncio.create_task(repeat())
    try:
        yield
    finally:
        telling.cancel()


def printable(text: str, limit: int = 160) -> str:
    """Make a text of unknown origin safe for a terminal: printable ASCII, cut off at `limit` characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= limit else f"{escaped[:limit]}..."


def worded(value: JsonValue) -> str:
    """Write a field for a person: `yes`, `no`, `-` for none, and any text so that it is safe for a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return printable(f"{value['code']}: {value['message']}")
    return printable(str(value))


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 event`, `2 events`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
