"""docs/liveness.http and docs/postman_collection.json, run by httpyac and newman against `make run`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.local.test_printed_commands import running
from tests.local.test_run import PATIENCE_SECONDS, ROOT

_PROGRAMS = ROOT / ".tools/http_clients/node_modules/.bin"
_CALLS = ["health", "createSession", "perform", "getResult", "auditSession", "revokeSession", "ready"]


def run(folder: Path, page: str, *command: str) -> str:
    """Let a program of scripts/http_clients.sh send the requests of a page to a run; returns its output.

    Without the program the test is skipped, or fails in CI.
    """
    if not _PROGRAMS.exists():
        reason = (
            "httpyac and newman are not installed: run scripts/http_clients.sh, which needs Node and npm."
        )
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    text = (ROOT / page).read_text("utf-8")
    with running(folder) as (_, own_values):
        # What a reader does: the addresses and the key are variables of the file.
        for in_page, own in own_values.items():
            text = text.replace(in_page, own)
        (folder / Path(page).name).write_text(text, "utf-8")
        ended = subprocess.run(  # noqa: S603 - the program is one of ours.
            [_PROGRAMS / command[0], *command[1:]],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_requests_of_httpyac(tmp_path: Path) -> None:
    """Each call is answered as it says, and the check passed."""
    output = run(tmp_path, "docs/liveness.http", "httpyac", "send", "liveness.http", "--all", "--json")
    sent = {each["name"]: each for each in json.loads(output)["requests"]}

    assert list(sent) == _CALLS
    assert {each["summary"]["successTests"] for each in sent.values()} == {1}
    assert json.loads(sent["getResult"]["response"]["body"])["passed"] is True


def test_each_run_is_another_device() -> None:
    """A device may have five sessions in ten minutes, so that the sixth run would be refused."""
    for page in ("docs/liveness.http", "docs/postman_collection.json"):
        assert "{{device}}.{{$guid}}" in (ROOT / page).read_text("utf-8")


def test_requests_of_postman(tmp_path: Path) -> None:
    """Each call is answered as it says, and the check passed."""
    options = ("--reporters", "json", "--reporter-json-export", "report.json")
    run(tmp_path, "docs/postman_collection.json", "newman", "run", "postman_collection.json", *options)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))["run"]
    sent = {each["item"]["name"].partition(":")[0]: each for each in report["executions"]}

    assert list(sent) == _CALLS
    assert (report["stats"]["assertions"], report["failures"]) == (
        {"total": 7, "pending": 0, "failed": 0},
        [],
    )
    assert json.loads(bytes(sent["getResult"]["response"]["stream"]["data"]))["passed"] is True
