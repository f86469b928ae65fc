"""The release that runs: what scripts/package.py wrote into the package."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """A version and the commit that it was built from; both None where no package was built."""

    version: str | None = None
    commit: str | None = None


def read_release(folder: Path | None = None) -> Release:
    """Read the release of the package. A working directory, and what `func` and `azd` build from it, have none."""
    path = (folder or Path(__file__).parents[1]) / "release.json"
    if not path.exists():
        return Release()
    packaged = json.loads(path.read_text("utf-8"))
    return Release(packaged["version"], packaged["commit"])
