"""docs/liveness.http and docs/postman_collection.json, run by httpyac and newman against `make run`."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.local.test_printed_commands import running
from tests.local.test_run import PATIENCE_SECONDS, ROOT

_PROGRAMS = ROOT / ".tools/http_clients/node_modules/.bin"
_SIGN_INS = ["phoneSignsIn", "serverSignsIn"]
_CALLS = ["health", "createSession", "perform", "getResult", "auditSession", "revokeSession", "ready"]


def run(folder: Path, page: str, auth: str, *command: str) -> str:
    """Let a program of scripts/http_clients.sh send the requests of a page to a run; returns its output.

    The run is at free ports, which the command names as docs/quickstart.md says.

    Without the program the test is skipped, or fails in CI.
    """
    if not _PROGRAMS.exists():
        reason = (
            "httpyac and newman are not installed: run scripts/http_clients.sh, which needs Node and npm."
        )
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    shutil.copy(ROOT / page, folder)
    with running(folder, "--auth", auth) as (_, own_addresses):
        option = "--var" if command[0] == "httpyac" else "--env-var"
        names = zip(("broker", "simulator", "issuer"), own_addresses.values(), strict=False)
        ended = subprocess.run(  # noqa: S603 - the program is one of ours.
            [
                _PROGRAMS / command[0],
                *command[1:],
                *(word for name, own in names for word in (option, f"{name}={own}")),
            ],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("auth", "options"), [("none", []), ("jwt", ["--var", "auth=jwt"])])
def test_requests_of_httpyac(tmp_path: Path, auth: str, options: list[str]) -> None:
    """Each call is answered as it says, and the check passed; tokens are asked for where callers sign in."""
    output = run(
        tmp_path, "docs/liveness.http", auth, "httpyac", "send", "liveness.http", "--all", "--json", *options
    )
    sent = {each["name"]: each for each in json.loads(output)["requests"]}
    succeeded = [name for name, each in sent.items() if each["summary"]["successTests"] == 1]

    assert list(sent) == _SIGN_INS + _CALLS
    assert succeeded == (_CALLS if auth == "none" else _SIGN_INS + _CALLS)
    assert json.loads(sent["getResult"]["response"]["body"])["passed"] is True


def test_one_request_of_httpyac_sends_those_before_it(tmp_path: Path) -> None:
    """As a click on it does in an editor."""
    output = run(
        tmp_path,
        "docs/liveness.http",
        "none",
        *["httpyac", "send", "liveness.http", "-n", "getResult", "--json"],
    )
    sent = {each["name"]: each for each in json.loads(output)["requests"]}

    assert set(sent) == {"createSession", "perform", "getResult"}
    assert json.loads(sent["getResult"]["response"]["body"])["passed"] is True


def test_the_printed_commands_fetch_the_tested_programs() -> None:
    """The versions are those of scripts/http_clients."""
    tested = json.loads((ROOT / "scripts/http_clients/package.json").read_text("utf-8"))["dependencies"]
    printed = re.findall(
        r"^npx --yes (\w+)@(\S+) ", (ROOT / "docs/quickstart.md").read_text("utf-8"), re.MULTILINE
    )

    assert dict(printed) == tested


def test_each_run_is_another_device() -> None:
    """A device may have five sessions in ten minutes, so that the sixth run would be refused."""
    for page in ("docs/liveness.http", "docs/postman_collection.json"):
        assert "{{device}}.{{$guid}}" in (ROOT / page).read_text("utf-8")


@pytest.mark.parametrize(("auth", "options"), [("none", []), ("jwt", ["--env-var", "auth=jwt"])])
def test_requests_of_postman(tmp_path: Path, auth: str, options: list[str]) -> None:
    """Each call is answered as it says, and the check passed; tokens are asked for where callers sign in."""
    report_to = ("--reporters", "json", "--reporter-json-export", "report.json")
    run(
        tmp_path,
        "docs/postman_collection.json",
        auth,
        *("newman", "run", "postman_collection.json", *report_to, *options),
    )
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))["run"]
    sent = {
        each["item"]["name"].partition(":")[0]: each for each in report["executions"] if "response" in each
    }
    calls = _CALLS if auth == "none" else _SIGN_INS + _CALLS

    assert list(sent) == calls
    assert (report["stats"]["assertions"], report["failures"]) == (
        {"total": len(calls), "pending": 0, "failed": 0},
        [],
    )
    assert json.loads(bytes(sent["getResult"]["response"]["stream"]["data"]))["passed"] is True
