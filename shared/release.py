"""The release that runs: what scripts/package.py wrote into the package."""

import json
from pathlib import Path
from typing import Final

from shared.values import immutable

RELEASE_FILE: Final = "release.json"


@immutable
class Release:
    """A version and the commit that it was built from; both None where no package was built."""

    version: str | None = None
    commit: str | None = None

    def __str__(self) -> str:
        return f"version {self.version}, commit {self.commit}"


def parse_release(text: str) -> Release:
    """Read the file of a package."""
    packaged = json.loads(text)
    return Release(packaged["version"], packaged["commit"])


def read_release(folder: Path | None = None) -> Release:
    """Read the release of the package. A working directory, and what `func` builds from it, have none."""
    path = (folder or Path(__file__).parents[1]) / RELEASE_FILE
    return parse_release(path.read_text("utf-8")) if path.exists() else Release()


# Read once, when the app is loaded: a request must not wait for a disk.
RELEASE: Final = read_release()
