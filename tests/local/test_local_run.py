"""`make run` and its siblings, as processes."""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.azurite import AzuriteProcess
from local.simulator import FaceSimulator
from shared.settings import Settings
from tests.support.azurite import Azurite

ROOT = Path(__file__).parents[2]
# Only guards against a hang: a loaded machine takes its time.
PATIENCE_SECONDS = 60
FREE_PORTS = ("--port", "0", "--simulator-port", "0")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "local", *arguments]


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a folder where it may leave its events."""
    return subprocess.run(  # noqa: S603 - our own module.
        command(*arguments),
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def started(*arguments: str, cwd: Path, **settings: str) -> subprocess.Popen[str]:
    """Start a command; it is the caller's to end."""
    return subprocess.Popen(  # noqa: S603 - our own module.
        command(*arguments),
        cwd=cwd,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def environment(**settings: str) -> dict[str, str]:
    names = ("PATH", "HOME")
    return {name: os.environ[name] for name in names} | {"PYTHONPATH": str(ROOT)} | settings


def shown(output: str, name: str) -> list[str]:
    """What the lines of that name say."""
    return [line.split()[1] for line in output.splitlines() if line.split()[:1] == [name]]


def events_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_run_shows_a_check_that_passes(tmp_path: Path) -> None:
    """The demonstration tells each step, and ends well; its last step is the event, which is in the file as well."""
    ended = run("run", "--once", *FREE_PORTS, cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in memory: it is gone when this ends" in ended.stdout
    assert "added to .local/events.jsonl" in ended.stdout
    assert shown(ended.stdout, "passed") == ["true", "true"]
    [event] = events_in(tmp_path / ".local/events.jsonl")
    assert [event["id"]] == shown(ended.stdout, "id")
    assert [event["type"]] == shown(ended.stdout, "type") == ["liveness.session.completed"]
    assert [event["data"]["clientReference"]] == shown(ended.stdout, "clientReference") == ["demonstration:1"]
    assert [event["subject"]] == shown(ended.stdout, "session")


def test_run_over_azurite_says_so(azurite: Azurite, tmp_path: Path) -> None:
    """With Azurite the same check passes, over its queue as well, and the output says where state is kept."""
    path = tmp_path / "events"
    path.write_text('{"type": "of an earlier run"}\n')

    ended = run("run", "--once", "--storage", "azurite", *FREE_PORTS, cwd=tmp_path, EVENTS_FILE=str(path))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in Azurite's tables and queue" in ended.stdout
    assert f"added to {path}" in ended.stdout
    assert [event["type"] for event in events_in(path)] == ["of an earlier run", "liveness.session.completed"]


def test_run_over_azurite_says_how_to_operate_it(azurite: Azurite, tmp_path: Path) -> None:
    """The line that it prints is a command that works, with the key of this Azurite alone."""
    with staying_up(tmp_path, "--storage", "azurite") as (process, introduction):
        [line] = [line for line in introduction.splitlines() if line.split()[:1] == ["operator"]]
        setting, *words = shlex.split(line)[1:]
        name, _, value = setting.partition("=")
        ended = subprocess.run(  # noqa: S603 - the printed command.
            words, cwd=tmp_path, env=environment(**{name: value}), capture_output=True, text=True, check=False
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert words[:3] == [sys.executable, "-m", "ops"]
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1), ended.stderr
    assert ended.stdout == "0 shown, about 0 in liveness-results-poison\n"


def test_run_over_another_account_does_not_show_its_key(azurite: Azurite, tmp_path: Path) -> None:
    """What the environment names is somebody's own."""
    own = {"AzureWebJobsStorage": azurite.connection_string, "ID_PEPPER": "a-pepper"}
    with staying_up(tmp_path, "--storage", "azurite", **own) as (process, introduction):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert "AccountKey" not in introduction


@pytest.mark.parametrize("version", ["v1.2", "v1.3-preview.1"])
def test_run_keeps_what_the_environment_says(version: str, tmp_path: Path) -> None:
    """A setting given with the command is the one that is used."""
    ended = run("run", "--once", *FREE_PORTS, cwd=tmp_path, FACE_API_VERSION=version)

    assert ended.returncode == 0
    assert f"stands in for Azure Face, {version}" in ended.stdout


@contextmanager
def staying_up(cwd: Path, *options: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run until the demonstration is over; what was printed by then comes along."""
    process = started("run", *options, *FREE_PORTS, cwd=cwd, **settings)
    with process:
        try:
            yield process, _introduction(process)
        finally:
            process.kill()


def _introduction(process: subprocess.Popen[str], last: str = "Ctrl-C") -> str:
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(last):
            break
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_stays_up_until_it_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    """After the demonstration broker and console answer; Ctrl-C ends it cleanly."""
    with (
        staying_up(tmp_path) as (process, introduction),
        httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http,
    ):
        [url] = shown(introduction, "console")
        assert http.get(url).status_code == 200
        assert http.get(url.replace("/console", "/api/health")).status_code == 200
        # Somebody speaks TLS to it: that is answered, and leaves no traceback behind.
        with suppress(httpx.HTTPError):
            http.get(url.replace("http://", "https://"))

        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, rest.strip(), errors) == (0, "Ending.", "")


@pytest.mark.parametrize(("name", "status"), [("readiness", 200), ("deletion", 202)])
def test_command_that_run_prints_works(name: str, status: int, tmp_path: Path) -> None:
    """What it says to ask with curl is answered, with the keys that it made."""
    with staying_up(tmp_path) as (process, introduction):
        [line] = [line for line in introduction.splitlines() if line.split()[:1] == [name]]
        written = subprocess.run(  # noqa: S603 - the command under test.
            [*shlex.split(line)[1:], "--silent", "--write-out", "%{http_code}", "--output", os.devnull],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        ).stdout
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert written == str(status)


def test_event_of_a_later_check_is_told_everywhere(tmp_path: Path) -> None:
    """While it stays up, each event is printed, listed for the console page, and written to the file."""
    with (
        staying_up(tmp_path) as (process, introduction),
        httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http,
    ):
        [broker], [phone] = shown(introduction, "broker"), shown(introduction, "simulator")
        session_id = check(http, broker, phone, "sim-spoofface", "order:42")
        assert process.stdout
        told = process.stdout.readline()
        listed = http.get(broker.replace("/api", "/console/events")).json()

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert told.split(maxsplit=1)[1] == f"liveness.session.completed {session_id} not passed order:42\n"
    assert [event["data"]["clientReference"] for event in listed] == ["demonstration:1", "order:42"]
    assert events_in(tmp_path / ".local/events.jsonl") == listed


def test_demonstration_that_waits_for_its_event_can_be_ended(tmp_path: Path) -> None:
    """Where events cannot be written it says why, and Ctrl-C does not wait until it gives up."""
    with started("run", *FREE_PORTS, cwd=tmp_path, EVENTS_FILE="/dev/full") as process:
        _introduction(process, last="5.")
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, rest.strip()) == (1, "Ending.")
    assert not errors or "No space left on device" in errors


def check(http: httpx.Client, broker: str, phone: str, device: str, reference: str) -> str:
    """Have a check made and its result read."""
    body = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": device,
        "clientReference": reference,
    }
    session = patiently(lambda: http.post(f"{broker}/sessions", json=body)).json()
    token = session["authToken"]
    http.post(f"{phone}/simulator/perform", headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    url = f"{broker}/sessions/{session['sessionId']}"
    patiently(lambda: http.get(url, headers={"X-Session-Token": token}))
    return str(session["sessionId"])


def patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Call again where the store was late, as phones do: on a loaded machine the emulator may be."""
    for _ in range(5):
        response = call()
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return response.raise_for_status()


def test_bad_settings_stop_the_start_with_a_line_each(tmp_path: Path) -> None:
    """Each line names a setting and what is expected, without the value; there is no traceback."""
    ended = run("run", "--once", *FREE_PORTS, cwd=tmp_path, FACE_MAX_TPS="canary", THROTTLE_DEVICE="canary")

    assert ended.returncode == 1
    assert [line.partition(": expected")[0] for line in ended.stderr.splitlines()] == [
        "FACE_MAX_TPS",
        "THROTTLE_DEVICE",
    ]
    assert "canary" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"RESULT_VISIBILITY": "status"}, id="decisions kept from phones"),
        pytest.param({"FACE_KEY": "a-key-of-mine"}, id="a key"),
        pytest.param({"FACE_REGION": "", "FACE_KEY": "", "EVENTS_FILE": ""}, id="empty ones"),
        pytest.param({"AUTH_TOKEN_TTL_MAX_SECONDS": "300"}, id="a lower ceiling"),
    ],
)
def test_any_setting_can_be_given(settings: dict[str, str], tmp_path: Path) -> None:
    """The demonstration goes well however the broker is set up."""
    ended = run("run", "--once", *FREE_PORTS, cwd=tmp_path, **settings)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_example_of_local_settings_is_one_that_works(tmp_path: Path) -> None:
    """The app starts with it, and the simulator takes its key."""
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    settings = Settings.from_mapping(example)

    assert settings.face_key is not None
    with started("simulate", "--port", "0", cwd=tmp_path, FACE_KEY=settings.face_key.reveal()) as simulator:
        assert simulator.stdout is not None
        url = simulator.stdout.readline().strip()
        path = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
        body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "x"}
        key = {"Ocp-Apim-Subscription-Key": settings.face_key.reveal()}
        try:
            with httpx.Client(trust_env=False) as http:
                answers = [http.post(url + path, json=body, headers=headers) for headers in (key, {})]
        finally:
            simulator.send_signal(signal.SIGINT)
    assert [answer.status_code for answer in answers] == [200, 401]
    assert simulator.returncode == 0


def test_simulator_alone_needs_a_key(tmp_path: Path) -> None:
    """Without one, nobody could call it."""
    ended = run("simulate", "--port", "0", cwd=tmp_path)

    assert (ended.returncode, ended.stderr) == (
        1,
        "FACE_KEY: expected the key that the broker calls with\n",
    )


def test_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    """Somebody else on the port is no reason for a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("run", "--once", "--port", port, "--simulator-port", "0", cwd=tmp_path)

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("Cannot listen: ")


def test_serve_needs_settings_of_its_own(tmp_path: Path) -> None:
    """The broker alone has no simulator to fall back to."""
    ended = run("serve", "--port", "0", cwd=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("FACE_REGION: expected ")


def test_serve_with_the_queue_of_an_account_in_azure_does_not_start(tmp_path: Path) -> None:
    """Only in Azure does the app have an identity to reach it with."""
    settings = {
        "FACE_REGION": "westeurope",
        "FACE_KEY": "a-key",
        "KEY_VAULT_URL": "https://kv.vault.azure.net",
    }
    ended = run("serve", "--port", "0", cwd=tmp_path, AzureWebJobsStorage__accountName="broker", **settings)

    assert ended.returncode == 1
    assert ended.stderr.startswith("AzureWebJobsStorage: expected a connection string")


@pytest.fixture
async def simulator() -> AsyncIterator[FaceSimulator]:
    simulator = FaceSimulator(key="a-key")
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
def own_azurite() -> Iterator[Azurite]:
    """One that no instance of another test shares Face's budget over."""
    with Azurite() as own:
        yield own


async def test_serve_feeds_the_queue_function_too(
    own_azurite: Azurite, simulator: FaceSimulator, tmp_path: Path
) -> None:
    """The broker alone ends its sessions with their events, in the file that the environment names."""
    os.mkfifo(tmp_path / "events")
    settings = {
        "FACE_ENDPOINT": simulator.url,
        "FACE_KEY": "a-key",
        "ID_PEPPER": "a-pepper",
        "AzureWebJobsStorage": own_azurite.connection_string,
        "EVENTS_FILE": str(tmp_path / "events"),
    }
    with serving(tmp_path, settings) as (process, url):
        session_id = await asyncio.to_thread(checked, f"{url}/api", simulator.url)
        # Waits for the writer, and then for the line.
        event = json.loads(await asyncio.to_thread((tmp_path / "events").read_text))
        process.terminate()
        _, errors = await asyncio.to_thread(process.communicate)

    assert event["subject"] == session_id
    assert process.returncode == 0
    # Where the machine is so loaded that Azurite is late, a warning says so.
    assert [line for line in errors.splitlines() if not line.startswith("WARNING")] == []


@contextmanager
def serving(cwd: Path, settings: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = started("serve", "--port", "0", "--lease", "60", cwd=cwd, **settings)
    with process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def checked(broker: str, phone: str) -> str:
    with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        return check(http, broker, phone, "a-device", "order:1")


def test_azurite_ends_with_who_started_it(azurite: Azurite) -> None:
    """An emulator that was stopped listens no more."""
    with AzuriteProcess(azurite.program) as own:
        url = own.endpoint("table")
        assert httpx.get(url, trust_env=False).status_code == 400

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
