"""The Bicep compiler, kept running, because its start is slow.

JSON-RPC gives the results of `bicep build`, `lint`, `format`, `build-params` and `snapshot`.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.deployment_plan import parameter_file
from tests.infra.arm_snapshot import Snapshot

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra/bicep"
ENVIRONMENTS = ("dev", "prod", "azd")
DEVELOPMENT = ("dev", "azd")

_MISSING = "The Bicep compiler is not on the PATH: run `az bicep install`, or use a release of Azure/bicep."
# Made up, so that the names in the committed snapshots are the same everywhere. scripts/snapshots.sh has the same.
_SNAPSHOT_SCOPE = {
    "subscriptionId": "00000000-0000-0000-0000-000000000001",
    "tenantId": "00000000-0000-0000-0000-000000000002",
    "location": "westeurope",
}
# Without these prod does not compile.
REQUIRED_VARIABLES = {
    "BROKER_AUTH_CLIENT_ID": "00000000-0000-0000-0000-000000000003",
    "BROKER_AUTH_ISSUER": f"https://login.microsoftonline.com/{_SNAPSHOT_SCOPE['tenantId']}/v2.0",
    "BROKER_ALERT_EMAIL": "on-call@example.com",
}
# An environment that uses each switch which no committed environment uses.
SWITCHED = """
using '../main.bicep'
param environmentName = 'test'
param owner = 'tests'
param nameSalt = 'again'
param regions = [
  { name: 'westus', code: 'wus', faceLocation: 'westus2', faceSku: 'F0', storageSku: 'Standard_LRS'
    domain: 'wus.example.com' }
  { name: 'eastus', code: 'eus', alwaysReadyInstances: 3, domain: 'eus.example.com' }
]
param only = ['wus']
param broker = {
  clientAuth: 'jwt'
  authIssuer: ['https://issuer.example.com/v2.0']
  authAudience: ['an-audience', 'another']
  faceAuth: 'identity'
  faceMaxTps: 5
  throttleDevice: 'off'
  throttleMode: 'observe'
  throttleReference: '1/d'
  throttleOverrides: 'an-application client off'
  clientReference: 'caller'
  abuseIsFailure: false
  allowResultsToClient: true
  allowedOrigins: ['https://a.example.com', 'https://b.example.com']
}
param easyAuth = { clientId: 'a-client', allowedApplications: ['an-application'] }
param frontDoor = { tier: 'Premium', location: 'westeurope', domain: 'liveness.example.com', rateLimitPerMinute: 50 }
param monitoring = { alertEmails: ['a@example.com'], budget: { amount: 200, from: '2026-12-01' } }
param publishFrom = ['192.0.2.7/32', '198.51.100.0/24']
param restoreFace = true
param azdServiceName = 'api'
"""
# A pipeline sets a variable that is missing to an empty text.
EMPTY_VARIABLE = "BROKER_EMPTY"


@dataclass(frozen=True, slots=True)
class Compiled:
    """The template of a file, which is empty if the file has errors, and the compiler's messages."""

    template: Mapping[str, Any]
    messages: tuple[str, ...]


class Bicep:
    """A running compiler."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin
        assert process.stdout
        self._requests, self._answers = process.stdin, process.stdout
        self._calls = 0
        self._templates: dict[Path, Compiled] = {}

    def compile(self, path: Path) -> Compiled:
        """Compile a template, linter included; each file once."""
        if path not in self._templates:
            self._templates[path] = _compiled(self._call("bicep/compile", path), "contents")
        return self._templates[path]

    def compile_parameters(self, path: Path) -> Compiled:
        """Compile a parameter file, and check it against its template."""
        return _compiled(self._call("bicep/compileParams", path, parameterOverrides={}), "parameters")

    def format(self, path: Path) -> str:
        """The file in the compiler's own layout."""
        return str(self._call("bicep/format", path)["contents"])

    def snapshot(self, path: Path) -> Snapshot:
        """Predict what a parameter file deploys."""
        answer = self._call("bicep/getSnapshot", path, metadata=_SNAPSHOT_SCOPE, externalInputs=[])
        return Snapshot.parse(json.loads(answer["snapshot"]))

    def parameters(self, path: Path) -> list[str]:
        """The names of the parameters of a template."""
        return [parameter["name"] for parameter in self._call("bicep/getMetadata", path)["parameters"]]

    def _call(self, method: str, path: Path, **rest: object) -> Mapping[str, Any]:
        self._calls += 1
        params = {"path": str(path), **rest}
        body = json.dumps({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}).encode()
        self._requests.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._requests.flush()
        length = 0
        while line := self._answers.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "The compiler ended."
        answer: dict[str, Any] = json.loads(self._answers.read(length))
        if "error" in answer:
            raise AssertionError(f"{method} of {path}: {answer['error']['message']}")
        result: Mapping[str, Any] = answer["result"]
        return result


def parameters_of(environment: str) -> Path:
    """The parameter file of an environment."""
    return parameter_file(INFRA, environment)


def name_of(path: Path) -> str:
    """The path of a file below `infra/bicep`."""
    return path.relative_to(INFRA).as_posix()


def snapshot_with(bicep: Bicep, parameters: str, folder: Path) -> Snapshot:
    """Predict what a parameter file with this text deploys."""
    return bicep.snapshot(written(bicep, parameters, folder))


def written(bicep: Bicep, parameters: str, folder: Path) -> Path:
    """Write a parameter file with this text; its template, which takes most of the time, is compiled once."""
    [template] = re.findall(r"^using '(?:\.\./)?(.+)'$", parameters, re.MULTILINE)
    (folder / "template.json").write_text(json.dumps(bicep.compile(INFRA / template).template), "utf-8")
    path = folder / "test.bicepparam"
    path.write_text(parameters.replace(f"{template}'", "template.json'").replace("'../", "'"), "utf-8")
    return path


def _compiled(answer: Mapping[str, Any], content: str) -> Compiled:
    messages = tuple(
        f"{Path(one['source']).name}:{one['range']['start']['line'] + 1} "
        f"{one['level']} {one['code']}: {one['message']}"
        for one in answer["diagnostics"]
        # An API gets newer versions as time goes by: that is no fault of a file.
        if one["code"] != "use-recent-api-versions"
    )
    return Compiled(json.loads(answer.get(content) or "{}"), messages)


@pytest.fixture(scope="session")
def bicep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bicep]:
    """The compiler, started once for the run. Without one the test is skipped, or fails in CI."""
    program = shutil.which("bicep")
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(_MISSING)
    scratch = str(tmp_path_factory.mktemp("bicep"))
    # Parameter files read variables, and a snapshot must be the same on every machine: nothing else is passed on.
    environment = {
        **REQUIRED_VARIABLES,
        EMPTY_VARIABLE: "",
        "HOME": scratch,
        "DOTNET_BUNDLE_EXTRACT_BASE_DIR": scratch,
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        # Saves a third of the time: nearly no method runs often enough to be worth compiling a second time.
        "DOTNET_TieredPGO": "0",
        "DOTNET_TC_CallCountThreshold": "10000",
        "PATH": os.environ["PATH"],
    }
    with subprocess.Popen(  # noqa: S603 - the program that was looked up.
        [program, "jsonrpc", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        yield Bicep(process)
        process.terminate()
