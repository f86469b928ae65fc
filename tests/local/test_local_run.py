"""`make run` and its siblings, as processes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from local.azurite import AzuriteProcess
from tests.support.azurite import Azurite

ROOT = Path(__file__).parents[2]
FREE_PORTS = ("--port", "0", "--simulator-port", "0")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "local", *arguments]


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own module.
        command(*arguments),
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **settings}


def test_run_shows_a_check_that_passes() -> None:
    """The demonstration tells each step, and ends well."""
    ended = run("run", "--once", *FREE_PORTS)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in memory: it is gone when this ends" in ended.stdout
    assert [line.split()[1] for line in ended.stdout.splitlines() if line.split()[:1] == ["passed"]] == [
        "true"
    ]


def test_run_over_azurite_says_so(azurite: Azurite) -> None:
    """With Azurite the same check passes, and the output says where state is kept."""
    ended = run("run", "--once", "--storage", "azurite", *FREE_PORTS)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in Azurite's tables" in ended.stdout


@pytest.mark.parametrize("version", ["v1.2", "v1.3-preview.1"])
def test_run_keeps_what_the_environment_says(version: str) -> None:
    """A setting given with the command is the one that is used."""
    ended = run("run", "--once", *FREE_PORTS, FACE_API_VERSION=version)

    assert ended.returncode == 0
    assert f"stands in for Azure Face, {version}" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_stays_up_until_it_is_ended(number: signal.Signals) -> None:
    """After the demonstration broker and console answer; Ctrl-C ends it cleanly."""
    process = subprocess.Popen(  # noqa: S603 - our own module.
        command("run", *FREE_PORTS),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    url = ""
    for line in process.stdout:
        if line.split()[:1] == ["console"]:
            url = line.split()[1]
        if line.startswith("Ctrl-C"):
            break
    with httpx.Client(trust_env=False) as http:
        assert http.get(url).status_code == 200
        assert http.get(url.replace("/console", "/api/health")).status_code == 200

    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)

    assert (process.returncode, rest.strip(), errors) == (0, "Ending.", "")


def test_bad_settings_stop_the_start_with_a_line_each() -> None:
    """Each line names a setting and what is expected, without the value; there is no traceback."""
    ended = run("run", "--once", *FREE_PORTS, FACE_MAX_TPS="canary", THROTTLE_DEVICE="canary")

    assert ended.returncode == 1
    assert [line.partition(": expected")[0] for line in ended.stderr.splitlines()] == [
        "FACE_MAX_TPS",
        "THROTTLE_DEVICE",
    ]
    assert "canary" not in ended.stderr + ended.stdout


def test_taken_port_is_told_in_one_line() -> None:
    """Somebody else on the port is no reason for a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run("run", "--once", "--port", str(taken.getsockname()[1]), "--simulator-port", "0")

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("Cannot listen: ")


def test_serve_needs_settings_of_its_own() -> None:
    """The broker alone has no simulator to fall back to."""
    ended = run("serve", "--port", "0")

    assert ended.returncode == 1
    assert ended.stderr.startswith("FACE_REGION: expected ")


def test_azurite_ends_with_who_started_it(azurite: Azurite) -> None:
    """An emulator that was stopped listens no more."""
    with AzuriteProcess(azurite.program) as own:
        url = own.endpoint("table")
        assert httpx.get(url, trust_env=False).status_code == 400

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
