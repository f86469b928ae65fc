"""The Kotlin client, compiled and run on a JVM, against a broker process and the Face simulator."""

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT
from hashlib import sha256
from pathlib import Path

import pytest

from tests.clients.services import missing, program, services

# The compiler takes most of a minute on a loaded machine.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/kotlin"
COMPILER = ROOT / ".tools/kotlin/node_modules/kotlin-compiler"


async def run(*command: str | Path, **environment: str) -> str:
    """Run a program; return what it printed. It must end without an error."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=STDOUT)
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output


async def test_the_client_on_a_jvm(tmp_path: Path) -> None:
    """Its own tests: outcomes, restarts, retries, limits, and what a person is told. A warning is an error.

    The lines of README.md are compiled too.
    """
    java = program("java")
    if not COMPILER.exists():
        missing("The Kotlin compiler is not installed: run scripts/kotlin.sh, which needs Node and npm.")
    library = COMPILER / "lib"
    # The best machine code, and a garbage collector with threads, take longer to make than they save here.
    short = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    compiler = (*short, "-cp", library / "kotlin-compiler.jar", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
    options = ("-kotlin-home", COMPILER, "-no-reflect", "-Werror", "-jvm-target", "1.8")
    [example] = re.findall(
        r"```kotlin\n(.*?)```", (CLIENT.parent / "README.md").read_text("utf-8"), re.DOTALL
    )
    app = tmp_path / "App.kt"
    app.write_text(f"package app\nimport android.*\nimport faceliveness.*\n{example}")
    sources = (*sorted(CLIENT.glob("*.kt")), app, Path(__file__).with_name("Android.kt"))
    # The same files and options give the same classes, and compiling takes most of the time.
    made_of = (*sources, COMPILER / "package.json", Path(__file__))
    digest = sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()
    compiled = ROOT / ".local/kotlin" / f"{digest}.jar"
    if not compiled.exists():
        await run(java, *compiler, *options, "-d", compiled.with_suffix(".part.jar"), *sources)
        compiled.with_suffix(".part.jar").replace(compiled)
    async with services() as running:
        classes = f"{compiled}:{library / 'kotlin-stdlib.jar'}"
        command = (java, *short, "-cp", classes, "faceliveness.LivenessTestKt")
        output = await run(*command, BROKER=running.broker, SIMULATOR=running.simulator)

    # A run without tests would pass too.
    assert output.count("\nok ") >= 40
