"""What an exception tells to a log or an error report."""

import traceback
from collections.abc import Iterator
from pathlib import Path

_OURS = str(Path(__file__).parents[2] / "shared")


def everything_told_about(error: BaseException) -> str:
    """All texts of an exception and its causes, and the local variables of the frames in `shared`."""
    return "\n".join([*traceback.format_exception(error), *_told(error)])


def _told(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield repr(error)
        stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        yield from [repr(frame.locals) for frame in stack if frame.filename.startswith(_OURS)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
