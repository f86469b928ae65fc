"""The package with its dependencies: the one that the pipeline built, or one that is built here."""

import os
import sys
import zipfile
from pathlib import Path

import pytest

from local.simulator import FaceSimulator
from scripts.package import PYTHON_VERSION, SITE_PACKAGES, main, wrong_python
from tests.infra.bicep_compiler import ROOT
from tests.ops.shell import run_beside
from tests.support.broker import FACE_KEY, environment
from tests.support.processes import running_processes

# Only the package and Python itself can be imported, and the functions host of this repository.
_SERVE = """
import runpy, sys
package, site_packages, repository = sys.argv[1:]
sys.path[:0] = [package, site_packages]
import aiohttp, azure.functions, shared
assert aiohttp.__file__.startswith(site_packages) and azure.functions.__file__.startswith(site_packages)
sys.path.append(repository)
sys.argv[1:] = ["serve", "--port", "0"]
runpy.run_module("local", run_name="__main__")
assert shared.__file__.startswith(package)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package: the one that `PACKAGE` names, which will be deployed, or a new one."""
    if problem := wrong_python(sys.version_info[:2]):
        pytest.skip(f"{problem} The tests on Python {PYTHON_VERSION} are the ones that count, in CI too.")
    if built := os.environ.get("PACKAGE"):
        return Path(built)
    main(["--output", str(tmp_path / "broker.zip")])
    return tmp_path / "broker.zip"


@pytest.mark.timeout(300)
async def test_the_package_serves_a_whole_session(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs nothing that is not inside, and answers with the release that it was built from."""
    unpacked = tmp_path / "package"
    zipfile.ZipFile(package).extractall(unpacked)
    simulator = FaceSimulator(key=FACE_KEY)
    await simulator.start()
    command = (sys.executable, "-I", "-S", "-c", _SERVE)
    arguments = (str(unpacked), str(unpacked / SITE_PACKAGES), str(ROOT))
    try:
        async with running_processes(1, environment(simulator.url), (*command, *arguments)) as [client]:
            smoke = await run_beside(capsys, f"smoke {client.base_url} --anonymous --release {package}")
    finally:
        await simulator.stop()

    assert (smoke.status, smoke.errors) == (0, [])
    assert smoke.lines[-1] == "passed   revoke: the session is gone"
