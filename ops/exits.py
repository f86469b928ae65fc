"""How a command ends: one line for the operator, and an exit status."""

from typing import ClassVar


class CommandFailed(Exception):
    """The command could not do all that it was asked to; the text is the line that the operator reads."""

    status: ClassVar[int] = 1


class UsageError(CommandFailed):
    """An argument or a setting is wrong or missing."""

    status: ClassVar[int] = 2
