"""What importing the store costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "module",
    ["shared.storage", "shared.storage.port", "shared.storage.memory", "shared.storage.azure_table"],
)
def test_importing_the_store_imports_no_sdk(module: str) -> None:
    """A fresh interpreter has neither the Azure SDK nor its transport until a store is opened."""
    code = f"import sys, {module}; print([name for name in sys.modules if name.startswith(('azure', 'aiohttp'))])"

    loaded = subprocess.run(  # noqa: S603 - the interpreter that runs this test.
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"
