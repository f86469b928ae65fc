"""Builds the package that is deployed: the tracked files that `.funcignore` leaves, and what requirements.txt names.

    python -m scripts.package [--output dist/broker.zip] [--code-only] [--uncommitted]

Needs Python 3.13, on which the app runs: pip asks the Python that it runs on what a package depends on there. The same
files give the same bytes. Those of the app are the same for a commit; what requirements.txt names is taken within its
ranges, and so is the same until something new comes out.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON_VERSION = "3.13"
"""What the app runs on: the default of `pythonVersion` in infra/bicep/main.bicep."""

# The host looks for packages there: https://learn.microsoft.com/azure/azure-functions/functions-reference-python
_SITE_PACKAGES = ".python_packages/lib/site-packages"
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the package, and print its name, size and digest."""
    options = _options(arguments)
    if not options.code_only and (problem := wrong_python(sys.version_info[:2])):
        raise SystemExit(problem)
    files = {path: (ROOT / path).read_bytes() for path in app_files(uncommitted=options.uncommitted)}
    if not options.code_only:
        files |= dependencies()
    write_zip(options.output, files)
    content = options.output.read_bytes()
    print(
        f"{options.output}: {len(files)} files, {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
    )
    return 0


def wrong_python(running: tuple[int, int]) -> str | None:
    """What is wrong with building on this Python, if anything."""
    version = ".".join(map(str, running))
    if version == PYTHON_VERSION:
        return None
    return (
        f"The package is for Python {PYTHON_VERSION}, and this is {version}: run it as `python{PYTHON_VERSION} -m "
        "scripts.package`, or leave the dependencies to a remote build with --code-only."
    )


def app_files(*, uncommitted: bool = False) -> list[str]:
    """The files of the app, relative to the repository; a new file that is not added to git is not deployed."""
    new = ("--others", "--exclude-standard") if uncommitted else ()
    tracked = [path for path in _git("ls-files", "--cached", *new).splitlines() if (ROOT / path).is_file()]
    # In an empty repository, because git has other patterns of its own here.
    with tempfile.TemporaryDirectory() as empty:
        _git("init", "--quiet", empty)
        check = (
            "-C",
            empty,
            "-c",
            f"core.excludesFile={ROOT / '.funcignore'}",
            "check-ignore",
            "--no-index",
            "--stdin",
        )
        ignored = set(_git(*check, stdin="\n".join(tracked)).splitlines())
    return sorted(path for path in tracked if path not in ignored)


def dependencies() -> dict[str, bytes]:
    """What requirements.txt names, for the platform that the app runs on, whatever this one is."""
    with tempfile.TemporaryDirectory() as folder:
        platforms = [part for platform in _PLATFORMS for part in ("--platform", platform)]
        target = ("--python-version", PYTHON_VERSION, "--implementation", "cp", "--only-binary", ":all:")
        command = (
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        )
        subprocess.run(  # noqa: S603 - pip, and arguments of this file.
            [
                *command,
                "--target",
                folder,
                *platforms,
                *target,
                "--requirement",
                str(ROOT / "requirements.txt"),
            ],
            check=True,
        )
        return {
            f"{_SITE_PACKAGES}/{path.relative_to(folder).as_posix()}": path.read_bytes()
            for path in Path(folder).rglob("*")
            # Commands of packages name the Python that they were installed with, and nobody calls them there.
            if path.is_file() and path.relative_to(folder).parts[0] != "bin"
        }


def write_zip(output: Path, files: Mapping[str, bytes]) -> None:
    """Write files in the order of their names, all with the same date and rights."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as package:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, files[name])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist/broker.zip", help="where to write it")
    parser.add_argument("--code-only", action="store_true", help="leave the dependencies to a remote build")
    parser.add_argument(
        "--uncommitted", action="store_true", help="take files along that are not added to git"
    )
    return parser.parse_args(arguments)


def _git(*arguments: str, stdin: str = "") -> str:
    # Within a hook, git's own variables would point it to the repository whatever the folder.
    git = ("env", "-u", "GIT_DIR", "-u", "GIT_INDEX_FILE", "-u", "GIT_WORK_TREE", "git")
    run = subprocess.run(  # noqa: S603 - git, and arguments of this file.
        [*git, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False
    )
    # `check-ignore` answers 1 where it ignores nothing.
    if run.returncode > int("check-ignore" in arguments):
        raise SystemExit(f"git: {run.stderr.strip()}")
    return run.stdout


if __name__ == "__main__":
    raise SystemExit(main())
