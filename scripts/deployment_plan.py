"""What a parameter file would deploy to a subscription: the compiler computes it, names included."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[1] / "infra/bicep"

_PLACES = ("", str(Path.home() / ".azure/bin/"), str(Path.home() / ".azd/bin/"))


@dataclass(frozen=True, slots=True)
class Face:
    """A Face account to be made."""

    name: str
    location: str
    sku: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The resources to be deployed."""

    resources: Sequence[Mapping[str, Any]]

    @property
    def regions(self) -> list[str]:
        """Where apps are to run."""
        return sorted({site["location"] for site in self._of("Microsoft.Web/sites")})

    @property
    def providers(self) -> list[str]:
        """The namespaces that the subscription has to know; the subnet of an isolated app needs one more."""
        named = {resource["type"].split("/")[0] for resource in self.resources}
        delegated = {"Microsoft.App"} if "Microsoft.Network" in named else set()
        return sorted(named | delegated)

    @property
    def vaults(self) -> list[str]:
        """The names of the vaults."""
        return [vault["name"] for vault in self._of("Microsoft.KeyVault/vaults")]

    @property
    def faces(self) -> list[Face]:
        """The Face accounts."""
        accounts = self._of("Microsoft.CognitiveServices/accounts")
        return [Face(account["name"], account["location"], account["sku"]["name"]) for account in accounts]

    @property
    def restores_faces(self) -> bool:
        """Whether deleted accounts of these names are to be brought back."""
        return any(
            account["properties"].get("restore")
            for account in self._of("Microsoft.CognitiveServices/accounts")
        )

    def _of(self, kind: str) -> list[Mapping[str, Any]]:
        return [resource for resource in self.resources if resource["type"] == kind]


def plan_of(environment: str, subscription: str, tenant: str) -> Plan:
    """Compute the plan of `dev`, `prod` or `azd`; raises `SystemExit` where the compiler is missing or complains."""
    with tempfile.TemporaryDirectory() as folder:
        # A copy, because the compiler writes beside the parameter file, where the committed snapshot is.
        copy = shutil.copytree(INFRA, Path(folder) / "bicep")
        parameters = parameter_file(copy, environment)
        scope = ("--subscription-id", subscription, "--tenant-id", tenant, "--location", "westeurope")
        run = subprocess.run(  # noqa: S603 - the compiler, as it was found.
            [_bicep(), "snapshot", str(parameters), "--mode", "overwrite", *scope],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            said = [line for line in run.stderr.splitlines() if line.strip() and ": Warning " not in line]
            raise SystemExit("\n".join(f"bicep: {line}" for line in said))
        content = json.loads(parameters.with_suffix(".snapshot.json").read_text("utf-8"))
        return Plan(content["predictedResources"])


def parameter_file(infra: Path, environment: str) -> Path:
    """The parameter file of an environment; azd looks for one beside the template."""
    return infra / ("main.bicepparam" if environment == "azd" else f"env/{environment}.bicepparam")


def _bicep() -> str:
    found = next((path for place in _PLACES if (path := shutil.which(f"{place}bicep"))), None)
    if found is None:
        raise SystemExit("The Bicep compiler is missing: `az bicep install` gets it.")
    return found
