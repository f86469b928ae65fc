"""What a parameter file would deploy to a subscription, computed by the Bicep compiler."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.output import CommandFailed

INFRA = Path(__file__).parents[1] / "infra/bicep"

_GROUP = "Microsoft.Resources/resourceGroups"
_PLACES = ("", str(Path.home() / ".azure/bin/"), str(Path.home() / ".azd/bin/"))


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned resources."""

    resources: Sequence[Mapping[str, Any]]

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the resources of a type, such as `Microsoft.Web/sites`."""
        return [resource for resource in self.resources if resource["type"] == kind]

    @property
    def apps(self) -> list[Mapping[str, Any]]:
        """The function apps."""
        return self.of("Microsoft.Web/sites")

    @property
    def regions(self) -> list[str]:
        """The regions of the apps."""
        return sorted({app["location"] for app in self.apps})

    @property
    def storage_accounts(self) -> list[Mapping[str, Any]]:
        """The storage accounts, one for each region."""
        return self.of("Microsoft.Storage/storageAccounts")

    @property
    def faces(self) -> list[Mapping[str, Any]]:
        """The Face accounts."""
        return self.of("Microsoft.CognitiveServices/accounts")

    @property
    def actions(self) -> list[str]:
        """The actions that the deployer needs: https://learn.microsoft.com/azure/role-based-access-control/."""
        kinds = {resource["type"] for resource in self.resources} - {_GROUP}
        writes = {
            "Microsoft.Resources/deployments",
            "Microsoft.Resources/subscriptions/resourceGroups",
            *kinds,
        }
        return sorted(f"{kind}/write" for kind in writes)

    @property
    def providers(self) -> list[str]:
        """The resource providers of the resources, which a deployment registers itself."""
        return sorted({resource["type"].split("/")[0] for resource in self.resources})

    @property
    def further_providers(self) -> list[str]:
        """Those that only a subnet is delegated to, that of an isolated app: no deployment registers them."""
        return ["Microsoft.App"] if "Microsoft.Network" in self.providers else []


def plan_of(environment: str, subscription: str, tenant: str) -> Plan:
    """Compute the plan of `dev`, `prod` or `azd`; raises `CommandFailed` where the compiler is missing or fails."""
    with tempfile.TemporaryDirectory() as folder:
        # The compiler writes beside the parameter file, where the committed snapshot is.
        copy = shutil.copytree(INFRA, Path(folder) / "bicep")
        parameters = parameter_file(copy, environment)
        scope = ("--subscription-id", subscription, "--tenant-id", tenant, "--location", "westeurope")
        run = subprocess.run(  # noqa: S603 - the program that was found.
            [_bicep(), "snapshot", str(parameters), "--mode", "overwrite", *scope],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            errors = [line for line in run.stderr.splitlines() if line.strip() and ": Warning " not in line]
            raise CommandFailed("\n".join(f"bicep: {line}" for line in errors))
        content = json.loads(parameters.with_suffix(".snapshot.json").read_text("utf-8"))
        return Plan(content["predictedResources"])


def parameter_file(infra: Path, environment: str) -> Path:
    """Return the parameter file of an environment; azd's is beside the template."""
    return infra / ("main.bicepparam" if environment == "azd" else f"env/{environment}.bicepparam")


def _bicep() -> str:
    found = next((path for place in _PLACES if (path := shutil.which(f"{place}bicep"))), None)
    if found is None:
        raise CommandFailed("the Bicep compiler is missing: run az bicep install")
    return found
