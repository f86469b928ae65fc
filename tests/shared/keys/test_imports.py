import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, sys
{statements}
print(sorted({{name.partition('.')[0] for name in sys.modules}} & {{'azure', 'msal', 'aiohttp', 'cryptography'}}))
"""


def loaded_after(statements: str) -> str:
    """Which of the heavy packages a new interpreter has loaded after these statements."""
    command = [sys.executable, "-c", PROGRAM.format(statements=statements)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own.
    return done.stdout.strip()


def test_a_key_from_the_settings_loads_no_azure_sdk() -> None:
    """The SDKs take half a second to load, and a laptop with FACE_KEY never needs them."""
    statements = """
import shared.app, shared.keys.key_vault
from shared.keys.credentials import KeyCredential
from shared.keys.secret import Secret, StaticSecret
asyncio.run(KeyCredential(StaticSecret(Secret('key'), name='FACE_KEY')).headers())
"""
    assert loaded_after(statements) == "[]"
