"""Parameter files of the tests: environments that are not committed."""

import shutil
from pathlib import Path

from tests.infra.arm_snapshot import Snapshot
from tests.infra.bicep_compiler import INFRA, Bicep

# Each switch that no committed environment uses.
SWITCHED = """
using '../main.bicep'
param environmentName = 'test'
param owner = 'tests'
param nameSalt = 'again'
param regions = [
  { name: 'westus', code: 'wus', faceLocation: 'westus2', faceSku: 'F0', storageSku: 'Standard_LRS' }
  { name: 'eastus', code: 'eus', alwaysReadyInstances: 3 }
]
param only = ['wus']
param broker = { clientAuth: 'none', faceAuth: 'identity', faceMaxTps: 5, throttleDevice: 'off' }
param frontDoor = { tier: 'Premium', location: 'westeurope', rateLimitPerMinute: 50 }
param restoreFace = true
param azdServiceName = 'api'
"""


def snapshot_with(bicep: Bicep, parameters: str, folder: Path) -> Snapshot:
    """What a parameter file with this text would deploy."""
    path = shutil.copytree(INFRA, folder / "bicep") / "env/test.bicepparam"
    path.write_text(parameters, "utf-8")
    assert bicep.compile_parameters(path).wrong == []
    return bicep.snapshot(path)
