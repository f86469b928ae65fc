"""Asks the Azure CLI."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from ops.output import CommandFailed, UsageError

_TIMEOUT_SECONDS = 60

OF_ANOTHER_SHAPE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer raises where `az` answers in another shape than it did when this was written."""


class AskFailed(Exception):
    """The Azure CLI gave no answer; the text is what it says."""


class NotInstalled(AskFailed):
    """There is no Azure CLI on this machine."""


@dataclass
class AzureCli:
    """`az` with its login on this machine, for one subscription or the selected one."""

    subscription: str | None = None

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON.
        """Return the answer of `az` with these arguments; raises `AskFailed` with the line that says why."""
        program = shutil.which("az")
        if program is None:
            raise NotInstalled("the Azure CLI (az) is not installed")
        subscription = ("--subscription", self.subscription) if self.subscription else ()
        try:
            run = subprocess.run(  # noqa: S603 - the program that was found.
                [program, *arguments, *subscription, "--output", "json", "--only-show-errors"],
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise AskFailed("the Azure CLI (az) did not answer in time") from None
        if run.returncode != 0:
            raise AskFailed(_error(run.stderr))
        try:
            return json.loads(run.stdout or "null")
        except ValueError:
            raise AskFailed("the answer of the Azure CLI is not JSON") from None

    def ask_list(self, *arguments: str) -> list[Any]:
        """Return an answer that has to be a list; raises `AskFailed` for any other."""
        answer = self.ask(*arguments)
        if not isinstance(answer, list):
            raise AskFailed("the answer of the Azure CLI is not a list")
        return answer

    def must_ask(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON.
        """Return an answer without which the command cannot go on; raises `CommandFailed` with what to do."""
        try:
            return self.ask(*arguments)
        except NotInstalled as failure:
            raise UsageError(
                f"{failure}: install it from https://aka.ms/azure-cli, then run az login"
            ) from failure
        except AskFailed as failure:
            raise CommandFailed(
                f"az {' '.join(arguments[:2])}: {failure}; run az login, and az account set --subscription NAME"
            ) from failure


def _error(text: str) -> str:
    """Return the line of an error that says what is wrong: examples and links may follow it."""
    lines = text.strip().splitlines() or ["no answer"]
    marked = [line for line in lines if line.startswith("ERROR: ")]
    return marked[0].removeprefix("ERROR: ") if marked else lines[-1]
