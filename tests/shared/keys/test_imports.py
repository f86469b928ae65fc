import subprocess
import sys
from pathlib import Path

import shared.keys

ROOT = Path(__file__).parents[3]

LOADED = """
import sys
{statements}
print(sorted({{name.partition('.')[0] for name in sys.modules}} & {{'azure', 'msal', 'aiohttp', 'cryptography'}}))
"""


def loaded_after(statements: str) -> str:
    """Which of the heavy packages a new interpreter has loaded after these statements."""
    program = LOADED.format(statements=statements)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own.
    return done.stdout.strip()


def test_importing_the_package_loads_no_azure_sdk() -> None:
    """The SDKs take half a second to load: a function that fails to index for want of one would take all along."""
    assert loaded_after("import shared.keys") == "[]"


def test_a_key_from_the_settings_loads_no_azure_sdk() -> None:
    """A laptop with FACE_KEY never needs the SDKs."""
    statements = """
import asyncio
from shared.keys import KeyCredential, Secret, StaticSecret
asyncio.run(KeyCredential(StaticSecret(Secret('key'), name='FACE_KEY')).headers())
"""
    assert loaded_after(statements) == "[]"


def test_opening_the_identity_loads_its_sdk() -> None:
    """The two tests above can fail: this is what they would see."""
    assert "azure" in loaded_after("import shared.keys; shared.keys.open_identity()")


def test_exported_names_are_sorted_and_there() -> None:
    """`__all__` is true and in order."""
    assert shared.keys.__all__ == sorted(shared.keys.__all__)
    assert all(hasattr(shared.keys, name) for name in shared.keys.__all__)
