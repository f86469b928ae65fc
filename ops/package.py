"""Reads what scripts/package.py built."""

import zipfile
from pathlib import Path

from ops.output import UsageError
from shared.release import RELEASE_FILE, Release, parse_release


def release_of(package: Path) -> Release:
    """Return the version and the commit of a package; raises `UsageError` where the file is not a package."""
    try:
        with zipfile.ZipFile(package) as content:
            return parse_release(content.read(RELEASE_FILE).decode())
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UsageError(
            f"{package} is not a package: build one with python3.13 -m scripts.package"
        ) from error
