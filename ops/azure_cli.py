"""Asks the Azure CLI."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

_TIMEOUT_SECONDS = 60


class AskFailed(Exception):
    """The Azure CLI gave no answer; the text is what it says."""


@dataclass
class AzureCli:
    """`az` with its login on this machine, for one subscription or the selected one."""

    subscription: str | None = None

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON.
        """Return the answer of `az` with these arguments; raises `AskFailed` with the last line of its error."""
        program = shutil.which("az")
        if program is None:
            raise AskFailed("the Azure CLI (az) is not installed")
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
            raise AskFailed(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no answer")
        return json.loads(run.stdout or "null")
