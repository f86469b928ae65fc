"""The package for deployment."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.package import PYTHON_VERSION, main, wrong_python
from tests.contract.expected_functions import FUNCTIONS
from tests.infra.bicep_compiler import INFRA, ROOT
from tests.support.engine import require_runtime

_INDEX = """
import asyncio, sys
from pathlib import Path
unpacked, repository = sys.argv[1:]
sys.path[:0] = [unpacked]
sys.path.append(repository)
from tests.support.engine import start_engine
engine = asyncio.run(start_engine(Path(unpacked)))
import shared
assert Path(shared.__file__).is_relative_to(unpacked), shared.__file__
print(*sorted(function.name for function in engine.functions))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the working directory, without the dependencies, which come over the network."""
    path = tmp_path_factory.mktemp("package") / "broker.zip"
    assert main(["--code-only", "--uncommitted", "--output", str(path)]) == 0
    return path


def test_the_package_holds_the_app_and_nothing_else(package: Path) -> None:
    """Function packages, `shared` and three files: no `ops`, `local` or tests, no infrastructure, no documents."""
    names = zipfile.ZipFile(package).namelist()
    packages = {path.parent.name for path in ROOT.glob("*/trigger.py")}

    assert {name.split("/")[0] for name in names} == {
        *packages,
        "shared",
        "function_app.py",
        "host.json",
        "requirements.txt",
    }
    assert {Path(name).suffix for name in names} == {".py", ".json", ".txt"}


def test_the_package_holds_no_setting(package: Path) -> None:
    """The settings of a laptop stay there."""
    assert not [name for name in zipfile.ZipFile(package).namelist() if "local.settings" in name]


def test_the_same_files_make_the_same_package(package: Path, tmp_path: Path) -> None:
    """Two builds of one commit can be compared by their digests."""
    again = tmp_path / "again.zip"
    main(["--code-only", "--uncommitted", "--output", str(again)])

    assert again.read_bytes() == package.read_bytes()


@pytest.mark.parametrize(("running", "refused"), [((3, 11), True), ((3, 13), False), ((3, 14), True)])
def test_another_python_is_refused_in_a_line(running: tuple[int, int], refused: bool) -> None:
    """The dependencies would be for the wrong Python, or pip would stop halfway."""
    problem = wrong_python(running)

    assert (problem is not None) is refused
    assert problem is None or "python3.13 -m scripts.package" in problem


def test_the_functions_are_found_in_the_unpacked_package(package: Path, tmp_path: Path) -> None:
    """The production engine finds every function in the package alone."""
    require_runtime()
    zipfile.ZipFile(package).extractall(tmp_path)
    environment = {"FACE_REGION": "westeurope", "FACE_KEY": "a-key-of-the-tests"}
    run = subprocess.run(  # noqa: S603 - this Python.
        [sys.executable, "-c", _INDEX, str(tmp_path), str(ROOT)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == sorted(function.name for function in FUNCTIONS)


def test_the_dependencies_are_for_the_python_of_the_app() -> None:
    """The package fits the deployed app."""
    default = re.search(r"param pythonVersion .* = '([0-9.]+)'", (INFRA / "main.bicep").read_text("utf-8"))

    assert default is not None
    assert default[1] == PYTHON_VERSION
