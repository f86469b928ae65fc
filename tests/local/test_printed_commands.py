"""The commands of README.md and pages, run as they are printed, against the run that the pages name."""

import html
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.services import browser
from tests.local.test_run import PATIENCE_SECONDS, ROOT, events_in, printed, started, values
from tests.support.azurite import Azurite


def blocks(page: str, heading: str) -> list[str]:
    """The commands in a section of a page, one text for each block, without those that start a run."""
    [section] = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    found: list[str] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [block for block in found if not re.match(r"(\w+=\S+ )*make ", block)]


@contextmanager
def running(
    folder: Path, *words: str, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A run at free ports; yields it, and its own addresses by those in the pages."""
    # The demonstration and the commands make more calls of Face in a second than an instance may by default.
    with started("run", *words, cwd=folder, FACE_MAX_TPS="100", **settings) as process:
        introduction = printed(process)
        addresses = {
            "http://127.0.0.1:7071": values(introduction, "broker")[0].removesuffix("/api"),
            "http://127.0.0.1:7072": values(introduction, "simulator")[0].split()[0],
        }
        if issuer := re.search("sign in with tokens of (.*)", introduction):
            addresses["http://127.0.0.1:7073"] = issuer[1]
        yield process, addresses


def answers(folder: Path, addresses: dict[str, str], commands: list[str]) -> list[dict[str, object]]:
    """Run commands in one shell; return the JSON objects that they print, each on a line of its own."""
    script = "set -eu\n" + "".join(commands)
    for in_pages, address in addresses.items():
        script = script.replace(in_pages, address)
    shown = subprocess.run(
        ["sh"],  # noqa: S607 - the reader's shell.
        input=script,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    ).stdout
    assert not shown or shown.endswith("\n"), "The prompt would follow the last answer."
    return [json.loads(line) for line in shown.splitlines()]


def in_browser(url: str, profile: Path) -> str:
    """The document at a URL, after its script has run in Chromium."""
    return subprocess.run(  # noqa: S603 - the program that was looked up.
        [*browser(profile), "--virtual-time-budget=30000", "--dump-dom", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    ).stdout


def test_commands_of_the_readme(tmp_path: Path) -> None:
    """A check without sign-in."""
    with running(tmp_path) as (_, addresses):
        created, performed, read = answers(tmp_path, addresses, blocks("README.md", "Try it"))
        assert read["sessionId"] == created["sessionId"]
        assert (read["passed"], "digest" in performed) == (True, True)


def test_commands_of_the_quick_start(tmp_path: Path) -> None:
    """A check by curl, and one by the page in Chromium."""
    (tmp_path / "clients").symlink_to(ROOT / "clients")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{free.getsockname()[1]}"
    with running(tmp_path, ALLOWED_ORIGINS=origin) as (_, addresses):
        created, performed, read = answers(
            tmp_path, addresses, blocks("docs/quickstart.md", "2. One check with curl")
        )
        assert read["sessionId"] == created["sessionId"]
        assert (read["passed"], read["digestMatches"], "digest" in performed) == (True, True, True)

        *copies, serve = blocks("docs/quickstart.md", "3. The same in a web page")
        answers(tmp_path, addresses, copies)
        [page] = re.findall(r"```html\n(.*?)```", (ROOT / "docs/quickstart.md").read_text(), re.DOTALL)
        for in_page, own in addresses.items():
            page = page.replace(in_page, own)
        (tmp_path / ".local/app/index.html").write_text(page)
        serve = serve.replace("5173", origin.rpartition(":")[2])
        with subprocess.Popen(  # noqa: S603 - as printed.
            shlex.split(serve),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as server:
            assert server.stdout
            assert server.stdout.readline().startswith(b"Serving")
            try:
                shown = in_browser(origin, tmp_path / "profile")
            finally:
                server.terminate()
    assert '<p id="result">The check was successful.</p>' in shown


def test_commands_of_the_operators_view(azurite: Azurite, tmp_path: Path) -> None:
    """Each one is run in a clean shell, as the page in Chromium shows it, and after the night of `ops drill`."""

    def shell(*lines: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh"],  # noqa: S607 - the reader's shell.
            input="\n".join(lines),
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def view(number: int, path: str = "/console#operator-status") -> tuple[str, list[str]]:
        url = addresses["http://127.0.0.1:7071"] + path
        shown = in_browser(url, tmp_path / f"profile{number}")
        [status] = re.findall(r'id="operator-status"[^>]*>([^<]*)<', shown)
        return status, [
            html.unescape(text) for text in re.findall(r'class="command"><pre[^>]*>([^<]+)<', shown)
        ]

    with running(tmp_path, "--storage", "azurite") as (process, addresses):
        quiet, [export] = view(1)
        drill = f"{sys.executable} -m ops drill"
        assert shell(export, drill).returncode == 0
        troubled, [*commands, _] = view(2)
        closed, _ = view(4, "/console")
        reading = [command for command in commands if " show " in command]
        # A session names the command of its poison message.
        mending = list(dict.fromkeys(command for command in commands if command not in reading))
        ran = {command: shell(export, command) for command in (*reading, *mending)}
        for _ in range(3):
            printed(process, last="event")
        mended, _ = view(3)

    assert quiet == "Ready. No session owes its event, and no message is poison."
    assert troubled == "3 sessions owe their event. 2 messages are poison. 1 device is refused now."
    assert closed == troubled
    assert (len(reading), len(mending)) == (6, 5)
    for asked in [command for command in mending if " drop " in command or " reset " in command]:
        # It asks before it destroys something, and here is no terminal.
        assert ran.pop(asked).stderr.endswith("add --yes\n")
    assert {command: one.stderr for command, one in ran.items() if one.returncode} == {}
    assert mended == "1 message is poison. 1 device is refused now."


def test_commands_of_the_page_for_callers(tmp_path: Path) -> None:
    """A grant, a person without one, two readers who get nothing, a server, and the event."""
    with running(tmp_path, "--auth", "jwt") as (process, addresses):
        granted, refused, _, read, other, nobody, by_server, audit, for_customer = answers(
            tmp_path, addresses, blocks("docs/servers.md", "Try it")
        )
        session_id = granted["sessionId"]
        assert refused["error"] == refused["error"] | {"code": "Forbidden", "target": "clientReference"}  # type: ignore[operator]
        assert [answer["error"]["code"] for answer in (other, nobody)] == ["SessionNotFound", "Unauthorized"]  # type: ignore[index]
        assert (read["passed"], by_server, audit["sessionId"]) == (True, read, session_id)
        assert for_customer["sessionId"] != session_id
        printed(process, last="event")
        events = {event["subject"]: event["data"] for event in events_in(tmp_path / ".local/events.jsonl")}

    assert events[str(session_id)]["clientReference"] == "order:4711"
    assert events[str(session_id)]["clientReferenceFrom"] == "token"
