"""Builds the package for deployment: the tracked files that `.funcignore` leaves, and what requirements.txt names.

    python -m scripts.package [--output dist/broker.zip] [--code-only]

Runs on Python 3.13, as the app does: pip chooses dependencies for the Python that it runs on. The same files give the
same bytes. The app's files are those of the commit, which `release.json` names with the version. The dependencies have
the versions and hashes of requirements.txt. Every Python file comes with its bytecode: without it each new instance
compiles all it imports.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON_VERSION = "3.13"
"""What the app runs on: the default of `pythonVersion` in infra/bicep/main.bicep."""

# The host looks for packages there: https://learn.microsoft.com/azure/azure-functions/functions-reference-python
SITE_PACKAGES = ".python_packages/lib/site-packages"
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the package, and print its name, size and digest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist/broker.zip", help="where to write it")
    parser.add_argument("--code-only", action="store_true", help="leave the dependencies to a remote build")
    options = parser.parse_args(arguments)
    if not options.code_only and (problem := wrong_python(sys.version_info[:2])):
        raise SystemExit(problem)
    files = {path: (ROOT / path).read_bytes() for path in app_files()}
    files["release.json"] = json.dumps(release()).encode()
    if not options.code_only:
        files |= dependencies()
        files |= bytecode(files)
    write_zip(options.output, files)
    content = options.output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    print(f"{options.output}: {len(files)} files, {len(content):,} bytes, sha256 {digest}")
    return 0


def release() -> dict[str, str]:
    """Return what /api/health tells: the version, and the commit, marked where files differ from it."""
    commit = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    return {"version": version(), "commit": commit}


def version() -> str:
    """Return the version of the next package. pyproject.toml is the one place where it is changed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def wrong_python(running: tuple[int, int]) -> str | None:
    """Return what is wrong with building on this Python, if anything."""
    version = ".".join(map(str, running))
    if version == PYTHON_VERSION:
        return None
    return (
        f"The package is for Python {PYTHON_VERSION}, and this is {version}: run it as `python{PYTHON_VERSION} -m "
        "scripts.package`, or leave the dependencies to a remote build with --code-only."
    )


def app_files() -> list[str]:
    """Return the app's files, relative to the repository. A file that git does not track is not deployed."""
    listed = git("ls-files").splitlines()
    return sorted(deployed(path for path in listed if (ROOT / path).is_file()))


def deployed(paths: Iterable[str]) -> set[str]:
    """Return the paths that `.funcignore` does not match. Its patterns are those of git, so git matches them."""
    files = set(paths)
    # In an empty repository, because this one has patterns of its own.
    with tempfile.TemporaryDirectory() as empty:
        git("init", "--quiet", empty)
        repository = ("-C", empty, "-c", f"core.excludesFile={ROOT / '.funcignore'}")
        ignored = git(*repository, "check-ignore", "--no-index", "--stdin", stdin="\n".join(files))
    return files - set(ignored.splitlines())


def dependencies() -> dict[str, bytes]:
    """Return what requirements.txt names, for the platform that the app runs on, whatever this one is."""
    with tempfile.TemporaryDirectory() as folder:
        target = ["--target", folder, "--python-version", PYTHON_VERSION, "--implementation", "cp"]
        target += [part for platform in _PLATFORMS for part in ("--platform", platform)]
        options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:"]
        requirements = ["--require-hashes", "--requirement", str(ROOT / "requirements.txt")]
        command = [sys.executable, "-m", "pip", "install", *options, *target, *requirements]
        subprocess.run(command, check=True)  # noqa: S603 - pip, and arguments of this file.
        files = {path.relative_to(folder): path for path in Path(folder).rglob("*") if path.is_file()}
        # The packages' commands name the Python that installed them, and nothing calls them in Azure.
        return {
            f"{SITE_PACKAGES}/{name.as_posix()}": path.read_bytes()
            for name, path in files.items()
            if name.parts[0] != "bin"
        }


def bytecode(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the bytecode of the Python files. It stays valid under other dates, which a zip brings."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", folder]
        # Packages bring templates and tests that are no Python: those have no bytecode, and nothing imports them.
        command = [sys.executable, "-m", "compileall", *options, folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env={"PYTHONHASHSEED": "0"})  # noqa: S603
        compiled = Path(folder).rglob("*.pyc")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in compiled}


def write_zip(output: Path, files: Mapping[str, bytes]) -> None:
    """Write files in the order of their names, all with the same date and rights."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as package:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, files[name])


def git(*arguments: str, stdin: str = "") -> str:
    """Run git in the repository, and return what it writes; raises `SystemExit` where it fails."""
    # In a hook, git's own variables name the repository, whatever the folder.
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
