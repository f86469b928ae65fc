"""The package for deployment."""

import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from scripts.package import PYTHON_VERSION, bytecode, deployed, git, main, wrong_python
from shared.release import Release, read_release
from tests.architecture.source_tree import FUNCTION_PACKAGES, tracked
from tests.infra.bicep_compiler import INFRA, ROOT

APP = {"function_app.py", "host.json", "requirements.txt", "shared", *FUNCTION_PACKAGES}
LEFT_BEHIND = """
    .venv/bin/python .venv-3.11/bin/python .tools/node_modules/a.js .local/events.jsonl .mypy_cache/a.json
    .pytest_cache/a .ruff_cache/a .hypothesis/a .git/config .github/workflows/ci.yml .ci/run local.settings.json
    shared/__pycache__/settings.pyc tests/support/engine.py infra/bicep/main.bicep
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the working directory, without the dependencies, which come over the network."""
    path = tmp_path_factory.mktemp("package") / "broker.zip"
    assert main(["--code-only", "--output", str(path)]) == 0
    return path


def test_the_package_holds_the_app_and_nothing_else(package: Path) -> None:
    """It holds each file of the function packages and of `shared`, and four further files."""
    app = {path for path in tracked() if path.split("/")[0] in APP}

    assert set(zipfile.ZipFile(package).namelist()) == app | {"release.json"}
    assert {path.split("/")[0] for path in app} == APP
    assert {path for path in app if not path.endswith(".py")} == {
        "host.json",
        "requirements.txt",
        "health/openapi.json",
    }


def test_other_files_of_the_working_directory_are_left_behind() -> None:
    """`func` packs the working directory, where caches, tools and secrets lie beside the repository."""
    patterns = (ROOT / ".gitignore").read_text("utf-8").split()
    untracked = [pattern.replace("*", "a") + ("a" if pattern.endswith("/") else "") for pattern in patterns]

    assert deployed([*LEFT_BEHIND.split(), *untracked]) == set()


def test_the_package_says_what_it_was_built_from(package: Path, tmp_path: Path) -> None:
    """The app reads the version and the commit; a commit with changes on top is marked."""
    zipfile.ZipFile(package).extract("release.json", tmp_path)
    release = read_release(tmp_path)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert release.version == project["version"]
    assert release.commit is not None
    assert release.commit.removesuffix("-dirty") == git("rev-parse", "HEAD").strip()
    assert release.commit.endswith("-dirty") is bool(git("diff", "HEAD", "--name-only"))
    assert read_release(tmp_path / "empty") == Release()


def test_the_same_files_make_the_same_package(package: Path, tmp_path: Path) -> None:
    """Two builds of one commit can be compared by their digests."""
    again = tmp_path / "again.zip"
    main(["--code-only", "--output", str(again)])

    assert again.read_bytes() == package.read_bytes()


def test_each_file_has_its_bytecode_which_needs_no_date() -> None:
    """A zip sets other dates than the compiler saw: only an unchecked hash keeps the bytecode valid."""
    files = dict.fromkeys(("function_app.py", "shared/app.py"), b"x = {'a', 'b', 'c'}\n")
    files |= {"host.json": b"{}", "broken.py": b"if\n"}

    compiled = bytecode(files)

    tag = sys.implementation.cache_tag
    assert set(compiled) == {f"__pycache__/function_app.{tag}.pyc", f"shared/__pycache__/app.{tag}.pyc"}
    # The second four bytes: 1 for a hash, without the 2 that has it checked (PEP 552).
    assert {content[4:8] for content in compiled.values()} == {bytes([1, 0, 0, 0])}
    assert bytecode(files) == compiled


@pytest.mark.parametrize(("running", "refused"), [((3, 11), True), ((3, 13), False), ((3, 14), True)])
def test_another_python_is_refused_in_a_line(running: tuple[int, int], refused: bool) -> None:
    """The dependencies would be for the wrong Python, or pip would stop halfway."""
    problem = wrong_python(running)

    assert (problem is not None) is refused
    assert problem is None or "python3.13 -m scripts.package" in problem


def test_the_dependencies_are_for_the_python_of_the_app() -> None:
    """The package fits the deployed app."""
    default = re.search(r"param pythonVersion .* = '([0-9.]+)'", (INFRA / "main.bicep").read_text("utf-8"))

    assert default is not None
    assert default[1] == PYTHON_VERSION
