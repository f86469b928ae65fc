"""The Bicep compiler, kept running: most of what a call costs is its start.

It is asked over JSON-RPC for what `bicep build`, `lint`, `format`, `build-params` and `snapshot` answer.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pytest

from tests.infra.arm_snapshot import Snapshot

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra/bicep"
ENVIRONMENTS = ("dev", "prod", "azd")
THROWN_AWAY = ("dev", "azd")

_MISSING = "The Bicep compiler is not on the PATH: get it with `az bicep install`, or from the releases of Azure/bicep."
# Made up, so that the names in the committed snapshots are the same everywhere; scripts/snapshots.sh has them too.
_SNAPSHOT_SCOPE = {
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "tenantId": "00000000-0000-0000-0000-000000000002",
    "location": "westeurope",
}
# What prod does not compile without.
REQUIRED_VARIABLES = {
    "BROKER_AUTH_CLIENT_ID": "00000000-0000-0000-0000-000000000003",
    "BROKER_AUTH_ISSUER": f"https://login.microsoftonline.com/{_SNAPSHOT_SCOPE['tenantId']}/v2.0",
    "BROKER_ALERT_EMAIL": "on-call@example.com",
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What the compiler has to say about a line; `rule` is a code such as BCP037, or the name of a linter rule."""

    rule: str
    level: str
    message: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.level} {self.rule}: {self.message}"


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a file: its template (empty where it has errors), and all that is said about it."""

    template: Mapping[str, Any]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def wrong(self) -> list[str]:
        """All but the one warning that comes with time alone: that there is a newer version of an API."""
        return [str(said) for said in self.diagnostics if said.rule != "use-recent-api-versions"]


class Bicep:
    """A running compiler; paths are those of files anywhere."""

    def __init__(self, program: str, scratch: Path, variables: Mapping[str, str]) -> None:
        self._program = program
        self._environment = _environment(scratch, variables)
        self._calls = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - the program is the one that was looked up.
            [self._program, "jsonrpc", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def compile(self, path: Path) -> Compiled:
        """Compile a template, linter included."""
        return _compiled(self._call("bicep/compile", path), "contents")

    def compile_parameters(self, path: Path) -> Compiled:
        """Compile a parameter file, checked against the template that it is for."""
        return _compiled(self._call("bicep/compileParams", path, parameterOverrides={}), "parameters")

    def format(self, path: Path) -> str:
        """The file in the compiler's own layout."""
        return str(self._call("bicep/format", path)["contents"])

    def snapshot(self, path: Path) -> Snapshot:
        """What a parameter file would deploy."""
        answer = self._call("bicep/getSnapshot", path, metadata=_SNAPSHOT_SCOPE, externalInputs=[])
        return Snapshot.parse(json.loads(answer["snapshot"]))

    def parameters(self, path: Path) -> list[str]:
        """The names of the parameters of a template."""
        return [parameter["name"] for parameter in self._call("bicep/getMetadata", path)["parameters"]]

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _call(self, method: str, path: Path, **rest: object) -> Mapping[str, Any]:
        self._calls += 1
        request = {
            "jsonrpc": "2.0",
            "id": self._calls,
            "method": method,
            "params": {"path": str(path), **rest},
        }
        requests, answers = self._pipes
        _send(requests, request)
        answer = _receive(answers)
        if "error" in answer:
            raise AssertionError(f"{method} of {path}: {answer['error']['message']}")
        result: Mapping[str, Any] = answer["result"]
        return result


def require_bicep(scratch: Path, variables: Mapping[str, str] = REQUIRED_VARIABLES) -> Bicep:
    """Find the compiler, with the variables that parameter files read; skips where there is none, and fails in CI."""
    program = shutil.which("bicep")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(_MISSING)
    return Bicep(program, scratch, variables)


def parameters_of(environment: str) -> Path:
    """The parameter file of an environment; azd looks for one beside the template."""
    return INFRA / ("main.bicepparam" if environment == "azd" else f"env/{environment}.bicepparam")


def snapshot_of(environment: str) -> Path:
    """The snapshot of an environment, beside its parameter file."""
    return parameters_of(environment).with_suffix(".snapshot.json")


def name_of(path: Path) -> str:
    """A file's path inside of the infrastructure."""
    return path.relative_to(INFRA).as_posix()


def _environment(scratch: Path, variables: Mapping[str, str]) -> dict[str, str]:
    # Nothing else: the parameter files read variables, and a snapshot has to be the same for everybody.
    return {
        **variables,
        "HOME": str(scratch),
        "DOTNET_BUNDLE_EXTRACT_BASE_DIR": str(scratch),
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        "DOTNET_TieredPGO": "0",  # Saves a short-lived process a quarter of its time.
        "PATH": os.environ["PATH"],
    }


def _send(pipe: IO[bytes], request: Mapping[str, Any]) -> None:
    body = json.dumps(request).encode()
    pipe.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    pipe.flush()


def _receive(pipe: IO[bytes]) -> dict[str, Any]:
    length = 0
    while line := pipe.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if length == 0:
        raise AssertionError("The compiler ended.")
    answer: dict[str, Any] = json.loads(pipe.read(length))
    return answer


def _compiled(answer: Mapping[str, Any], content: str) -> Compiled:
    return Compiled(json.loads(answer.get(content) or "{}"), _diagnostics(answer["diagnostics"]))


def _diagnostics(said: Sequence[Mapping[str, Any]]) -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(
            rule=one["code"],
            level=one["level"],
            message=one["message"],
            file=Path(one["source"]).name,
            line=one["range"]["start"]["line"] + 1,
        )
        for one in said
    )


@pytest.fixture(scope="session")
def bicep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bicep]:
    """The compiler, started once for all tests of the run."""
    with require_bicep(tmp_path_factory.mktemp("bicep")) as running:
        yield running
