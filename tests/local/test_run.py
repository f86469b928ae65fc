"""`make run` and the other commands: as processes where a process matters, else inside of the test."""

import asyncio
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.__main__ import main
from local.broker import FUNCTION_KEY
from local.run import RunOptions, exit_status, run, serve, simulate
from local.simulator import FaceSimulator
from shared.settings import SETTINGS, Settings
from tests.support.azurite import Azurite
from tests.support.webhook import running_webhook

ROOT = Path(__file__).parents[2]
# Only guards against a hang: a loaded machine is slow.
PATIENCE_SECONDS = 60
TAKEN = "the port of another program"
ONCE = RunOptions(port=0, simulator_port=0, storage="memory", once=True)


@contextmanager
def started(*words: str, cwd: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command of `python -m local`, on free ports; it is ended in order, with all that it started."""
    ports = ("--port", "0", "--simulator-port", "0") if words[0] == "run" else ("--port", "0")
    with subprocess.Popen(  # noqa: S603 - our own module.
        [sys.executable, "-m", "local", *words, *ports],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(ROOT)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def printed(process: subprocess.Popen[str], last: str = "Press Ctrl-C") -> str:
    """Read what a process prints, up to the line that begins with `last`."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(last):
            break
    return "".join(lines)


def ended(
    process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT
) -> tuple[int, str, list[str]]:
    """Send a signal; answer the exit status, what was printed since, and the log.

    The log lacks its warnings: on a loaded machine Azurite may be slow.
    """
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    log = [line for line in errors.splitlines() if not line.startswith("WARNING")]
    return process.returncode, output.strip(), log


def values(output: str, name: str) -> list[str]:
    """The rest of each line that begins with a name."""
    rows = [line.split(maxsplit=1) for line in output.splitlines()]
    return [row[1] for row in rows if len(row) == 2 and row[0] == name]


def events_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def printed_by(command: Sequence[str], **env: str) -> str:
    """Run a printed command; answer what it prints."""
    return subprocess.run(  # noqa: S603 - the command under test.
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | env,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    ).stdout


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client:
        yield client


def test_run_stays_up_and_keeps_the_promises_that_it_prints(tmp_path: Path, client: httpx.Client) -> None:
    """After the demonstration console, commands and events are as printed; Ctrl-C ends it in order."""
    # The demonstration and the check make more calls of Face in a second than an instance may by default.
    with started("run", cwd=tmp_path, FACE_MAX_TPS="100") as process:
        introduction = printed(process)
        [console], [broker], [simulator] = (
            values(introduction, name)[0].split()[:1] for name in ("console", "broker", "simulator")
        )
        pages = [client.get(url).status_code for url in (console, f"{broker}/health")]
        # A client that speaks TLS gets an error, and leaves no traceback behind.
        with suppress(httpx.HTTPError):
            client.get(console.replace("http://", "https://"))
        for name, status in {"readiness": "200", "deletion": "202"}.items():
            command = f"{values(introduction, name)[0]} -sw '%{{http_code}}' -o {os.devnull}"
            assert printed_by(["sh", "-c", command]) == status
        session_id = check(client, broker, simulator, "order:42")
        line = printed(process, last="event")
        listed = client.get(f"{console}/events").json()
        end = ended(process)

    assert (pages, end) == ([200, 200], (0, "Ending.", []))
    assert values(line, "event") == [f"liveness.session.completed {session_id} not passed order:42"]
    assert [event["data"]["clientReference"] for event in listed] == ["demonstration:1", "order:42"]
    assert events_in(tmp_path / ".local/events.jsonl") == listed


def check(client: httpx.Client, broker: str, simulator: str, reference: str) -> str:
    """Have a spoof checked, and its result read."""
    body = {
        "livenessOperationMode": "Passive",
        "deviceCorrelationId": "sim-spoofface",
        "clientReference": reference,
    }
    session = patiently(lambda: client.post(f"{broker}/sessions", json=body)).json()
    bearer = {"Authorization": f"Bearer {session['authToken']}"}
    client.post(f"{simulator}/simulator/perform", headers=bearer).raise_for_status()
    url, token = f"{broker}/sessions/{session['sessionId']}", {"X-Session-Token": session["authToken"]}
    patiently(lambda: client.get(url, headers=token))
    return str(session["sessionId"])


def patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Call again after a 503, as phones do: on a loaded machine the emulator may be slow."""
    for _ in range(5):
        response = call()
        if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return response.raise_for_status()


async def test_sandbox_has_a_clock_a_webhook_and_no_side_effects(
    tmp_path: Path, client: httpx.Client
) -> None:
    """A magic 429 disturbs no other device, and a session expires at once where the clock is moved on."""
    async with running_webhook() as webhook:
        with started("run", "--events-webhook", webhook.url, "--face-tps", "99", cwd=tmp_path) as process:
            introduction = await asyncio.to_thread(printed, process)
            [broker], [simulator] = (
                values(introduction, name)[0].split()[:1] for name in ("broker", "simulator")
            )
            devices = ("sim-create-429", "a-device", "another-device")
            bodies = [{"livenessOperationMode": "Passive", "deviceCorrelationId": name} for name in devices]
            created = [
                await asyncio.to_thread(client.post, f"{broker}/sessions", json=body) for body in bodies
            ]
            webhook.taken.clear()
            move = {"seconds": 15 * 60}
            moved = await asyncio.to_thread(client.post, f"{simulator}/simulator/clock", json=move)
            await webhook.taken.wait()
            end = await asyncio.to_thread(ended, process)

    assert [answer.status_code for answer in created] == [503, 200, 200]
    assert moved.json()["movedSeconds"] == 900
    demonstration, expired = [body for _, _, body in webhook.requests if body][:2]
    assert demonstration["type"] == "liveness.session.completed"
    assert (expired["type"], expired["subject"]) in [
        ("liveness.session.expired", answer.json()["sessionId"]) for answer in created[1:]
    ]
    assert end[0] == 0


def test_demonstration_that_waits_for_its_event_can_be_ended(tmp_path: Path) -> None:
    """If events cannot be written, the log says why, and Ctrl-C ends the wait."""
    with started("run", cwd=tmp_path, EVENTS_FILE="/dev/full") as process:
        printed(process, last="5.")
        status, output, log = ended(process)

    assert (status, output) == (1, "Ending.")
    assert not log or "No space left on device" in "".join(log)


def test_run_over_azurite_says_how_to_operate_it(azurite: Azurite, tmp_path: Path) -> None:
    """The printed command of an operator works; earlier events are kept; a closed terminal ends it in order."""
    path = tmp_path / "events"
    path.write_text('{"type": "of an earlier run"}\n')
    with started("run", "--storage", "azurite", cwd=tmp_path, EVENTS_FILE=str(path)) as process:
        introduction = printed(process)
        export, *settings = shlex.split(values(introduction, "operator")[0])
        command = re.findall(r"^ +(\S+ -m ops drill)$", introduction, re.MULTILINE)[0].split()
        own = dict(setting.split("=", 1) for setting in settings)
        operated = printed_by(command, **own)
        end = ended(process, signal.SIGHUP)

    assert "in Azurite's tables and queue" in introduction
    assert (export, own["EVENTS_FILE"]) == ("export", str(path))
    assert operated.endswith("docs/operations.md explains each of them\n")
    assert [event["type"] for event in events_in(path)] == ["of an earlier run", "liveness.session.completed"]
    assert end == (0, "Ending.", [])


def test_run_over_another_account_does_not_show_its_key(
    azurite: Azurite, tmp_path: Path, client: httpx.Client
) -> None:
    """The account of the environment is the user's own."""
    own = {"AzureWebJobsStorage": azurite.connection_string, "ID_PEPPER": "a-pepper"}
    with started("run", "--storage", "azurite", cwd=tmp_path, **own) as process:
        introduction = printed(process)
        [console] = values(introduction, "console")
        seen = client.get(f"{console}/status").json()

    assert "in the storage account of AzureWebJobsStorage" in introduction
    assert (seen["problem"], seen["settings"]) == (None, "")
    assert "AccountKey" not in introduction + json.dumps(seen)
    assert FUNCTION_KEY not in introduction


def test_function_key_of_the_pages_opens_nothing_of_the_real_face(tmp_path: Path) -> None:
    """Other users of the machine know it too."""
    with started("run", cwd=tmp_path, FACE_REGION="westeurope", FACE_KEY="a-key") as process:
        introduction = printed(process)

    assert "the real one" in introduction
    assert FUNCTION_KEY not in introduction


async def test_serve_feeds_the_queue_function_too(tmp_path: Path, client: httpx.Client) -> None:
    """The broker alone publishes the events of its sessions, to the file that the environment names."""
    os.mkfifo(tmp_path / "events")
    simulator = FaceSimulator(key="a-key")
    await simulator.start()
    settings = {"FACE_ENDPOINT": simulator.url, "FACE_KEY": "a-key", "ID_PEPPER": "a-pepper"}
    # An Azurite of its own: its queue holds no message of another test.
    with Azurite() as azurite:
        settings |= {
            "AzureWebJobsStorage": azurite.connection_string,
            "EVENTS_FILE": str(tmp_path / "events"),
        }
        with started("serve", cwd=tmp_path, **settings) as process:
            assert process.stdout
            url = process.stdout.readline().strip()
            session_id = await asyncio.to_thread(check, client, f"{url}/api", simulator.url, "order:1")
            # Blocks until the event was written.
            event = json.loads(await asyncio.to_thread((tmp_path / "events").read_text))
            end = await asyncio.to_thread(ended, process, signal.SIGTERM)
    await simulator.stop()

    assert (event["subject"], end) == (session_id, (0, "", []))


def test_example_of_local_settings_works_with_the_simulator(tmp_path: Path, client: httpx.Client) -> None:
    """The app accepts the example, and the simulator alone takes its key."""
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    # `func start` gets nothing else: what `make run` sets by itself has to be here.
    set_by_runs = {"FACE_ENDPOINT", "FACE_KEY", "AzureWebJobsStorage", "ID_PEPPER", "EVENTS_FILE"}
    assert set_by_runs <= set(example)
    assert set(example) - {setting.name for setting in SETTINGS} == {"FUNCTIONS_WORKER_RUNTIME"}
    settings = Settings.from_mapping(example)
    assert settings.face_key is not None
    key = {"Ocp-Apim-Subscription-Key": settings.face_key.reveal()}
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "x"}

    with started("simulator", cwd=tmp_path, FACE_KEY=settings.face_key.reveal()) as process:
        assert process.stdout
        url = process.stdout.readline().strip() + "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
        statuses = [client.post(url, json=body, headers=headers).status_code for headers in (key, {})]
        assert ended(process) == (0, "", [])

    assert statuses == [200, 401]


def test_simulator_takes_no_more_calls_than_it_is_told(tmp_path: Path, client: httpx.Client) -> None:
    """The next call gets the 429 of a small Face resource."""
    key = {"Ocp-Apim-Subscription-Key": "a-key"}
    with started("simulator", "--face-tps", "0.01", cwd=tmp_path, FACE_KEY="a-key") as process:
        assert process.stdout
        url = process.stdout.readline().strip() + "/face/v1.2/detectLiveness-sessions/x"
        statuses = [client.get(url, headers=key).status_code for _ in range(2)]

    assert statuses == [404, 429]


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "ten"])
def test_rate_that_makes_no_sense_is_refused_at_the_start(
    rate: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the option."""
    monkeypatch.setattr("sys.argv", ["local", "simulator", f"--face-tps={rate}"])
    with pytest.raises(SystemExit):
        main()

    assert capsys.readouterr().err.endswith("--face-tps: expected a number above 0\n")


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """An environment and a folder of the test's own, for a command inside of the test."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    os.environ.clear()
    yield os.environ  # type: ignore[misc]
    # The command may have set variables of its own.
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    "settings",
    [
        {"FACE_REGION": "", "FACE_KEY": "", "EVENTS_FILE": ""},
        {"FACE_API_VERSION": "v1.2"},
        {"FACE_API_VERSION": "v1.3-preview.1", "FACE_KEY": "a-key-of-mine"},
        {"RESULT_VISIBILITY": "status", "AUTH_TOKEN_TTL_MAX_SECONDS": "300"},
    ],
    ids=["empty ones", "version", "newest version and key", "no decisions for phones, lower ceiling"],
)
async def test_demonstration_goes_well_with_any_setting(
    setting: dict[str, str], capsys: pytest.CaptureFixture[str], settings: dict[str, str]
) -> None:
    """The settings of the environment are respected; each step is printed, and the event is in the file."""
    setting.update(settings)

    assert await exit_status(run(ONCE)) == 0

    output = capsys.readouterr().out
    [event] = events_in(Path(".local/events.jsonl"))
    assert f"in place of Azure Face, {settings.get('FACE_API_VERSION', 'v1.1-preview.1')})" in output
    assert "in memory; lost when this ends" in output
    assert "added to .local/events.jsonl" in output
    assert values(output, "passed") == (["true"] if "RESULT_VISIBILITY" in settings else ["true", "true"])
    assert (values(output, "session"), values(output, "id")) == ([event["subject"]], [event["id"]])
    assert values(output, "type") == [event["type"]] == ["liveness.session.completed"]
    assert values(output, "clientReference") == [event["data"]["clientReference"]] == ["demonstration:1"]


BAD = {"FACE_MAX_TPS": "canary", "THROTTLE_DEVICE": "canary"}
NEEDS_IDENTITY = {
    "FACE_REGION": "westeurope",
    "FACE_KEY": "a-key",
    "KEY_VAULT_URL": "https://kv.vault.azure.net",
    "AzureWebJobsStorage__accountName": "broker",
}


@pytest.mark.parametrize(
    ("command", "settings", "lines"),
    [
        (lambda: run(ONCE), BAD, ["FACE_MAX_TPS: expected", "THROTTLE_DEVICE: expected"]),
        (lambda: serve(0), {}, ["FACE_REGION: expected", "KEY_VAULT_URL: expected"]),
        (lambda: serve(0), NEEDS_IDENTITY, ["AzureWebJobsStorage: expected a connection string"]),
        (lambda: simulate(0), {}, ["FACE_KEY: expected the key"]),
        (
            lambda: run(replace(ONCE, events_webhook="http://canary/")),
            {},
            ["--events-webhook: expected a URL"],
        ),
    ],
    ids=[
        "bad settings",
        "serve without any",
        "serve needs an identity",
        "simulator without a key",
        "webhook",
    ],
)
async def test_bad_settings_stop_the_start_with_a_line_each(
    setting: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    command: Callable[[], Awaitable[bool]],
    settings: dict[str, str],
    lines: list[str],
) -> None:
    """Each line names a setting and the expected values, but never the value; there is no traceback."""
    setting.update(settings)

    assert await exit_status(command()) == 1

    output = capsys.readouterr()
    for line, start in zip(output.err.splitlines(), lines, strict=True):
        assert line.startswith(start)
    assert "canary" not in output.out + output.err


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [
        (run, {"port": TAKEN}, "it is in use. Choose another one: --port, or `make run PORT=...`."),
        (run, {"simulator_port": TAKEN}, "it is in use. Choose another one: --simulator-port, or"),
        (run, {"port": 80_000}, "ports go from 0 to 65535. Choose another one: --port"),
        (run, {"simulator_port": -1}, "ports go from 0 to 65535. Choose another one: --simulator-port"),
        # The issuer is at the port after the simulator's.
        (
            run,
            {"simulator_port": 65_535, "auth": "jwt"},
            "ports go from 0 to 65535. Choose another one: --simul",
        ),
        (serve, {"port": 80_000}, "ports go from 0 to 65535."),
        (simulate, {"port": 80_000}, "ports go from 0 to 65535."),
    ],
)
async def test_port_that_cannot_be_had_is_reported_in_one_line(
    setting: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    command: Callable[[Any], Awaitable[bool]],
    change: dict[str, Any],
    message: str,
) -> None:
    """The line says which port, why, and which option names another one."""
    setting.update(FACE_KEY="a-key", ID_PEPPER="a-pepper")
    if command is serve:
        setting["FACE_REGION"] = "westeurope"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        change = {name: taken if value is TAKEN else value for name, value in change.items()}
        options = replace(ONCE, **change) if command is run else change["port"]
        assert await exit_status(command(options)) == 1

    [line] = capsys.readouterr().err.splitlines()
    assert re.sub("[-0-9]+", "N", line, count=1).startswith(f"Cannot listen on port N: {message}")


def test_events_file_in_a_missing_folder_stops_the_start(
    setting: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo would hide the events in a new folder."""
    setting["EVENTS_FILE"] = "evnts/events.jsonl"

    assert asyncio.run(exit_status(run(ONCE))) == 1

    assert capsys.readouterr().err == "EVENTS_FILE: expected a file in a folder that exists\n"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("last", ["Face Liveness Broker, on this machine only", "Press Ctrl-C"])
def test_closed_pipe_ends_the_run_in_one_line(tmp_path: Path, client: httpx.Client, last: str) -> None:
    """`make run | head` is no error of ours. A later event is published first, and its function does not fail."""
    is_up = last.startswith("Press")
    with started("run", cwd=tmp_path, FACE_MAX_TPS="100") as process:
        introduction = printed(process, last)
        assert process.stdout
        process.stdout.close()
        if is_up:
            broker, simulator = (values(introduction, name)[0].split()[0] for name in ("broker", "simulator"))
            # The run may end before the last answer is read.
            with suppress(httpx.HTTPError):
                check(client, broker, simulator, "order:1")
        assert process.stderr
        errors = process.stderr.read()
        status = process.wait(PATIENCE_SECONDS)

    assert (status, errors) == (1, "Ended: nobody reads the output any more.\n")
    if is_up:
        [_, event] = events_in(tmp_path / ".local/events.jsonl")
        assert event["data"]["clientReference"] == "order:1"


# What Python has on Windows: no SIGHUP, and event loops without handlers of signals.
AS_ON_WINDOWS = """
import asyncio, runpy, signal, sys
del signal.SIGHUP
del asyncio.SelectorEventLoop.add_signal_handler
sys.argv[1:] = ["run", "--port", "0", "--simulator-port", "0"]
runpy.run_module("local", run_name="__main__")
"""


def test_run_ends_in_order_without_signal_handlers_of_the_loop(tmp_path: Path) -> None:
    """`python -m local run` works on Windows, where the loop has none."""
    with subprocess.Popen(  # noqa: S603 - our own module.
        [sys.executable, "-c", AS_ON_WINDOWS],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        introduction = printed(process)
        end = ended(process)

    assert "passed              true" in introduction
    assert end == (0, "Ending.", [])
