"""The Azure CLI, asked for JSON."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol


class AskFailed(Exception):
    """Azure did not answer a question; the text is what the CLI says."""


class Azure(Protocol):
    """What the checks ask Azure with."""

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it answers.
        """Answer what `az` with these arguments does; raises `AskFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class AzureCli:
    """`az`, as it is signed in on this machine, about one subscription or the one that is selected."""

    subscription: str | None = None

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON it answers.
        """Run the command; raises `AskFailed` with the last line that it says."""
        program = shutil.which("az")
        if program is None:
            raise AskFailed("the Azure CLI (az) is not installed")
        about = ("--subscription", self.subscription) if self.subscription else ()
        run = subprocess.run(  # noqa: S603 - az, as it was found.
            [program, *arguments, *about, "--output", "json", "--only-show-errors"],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise AskFailed(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no answer")
        return json.loads(run.stdout or "null")
