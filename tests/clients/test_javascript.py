"""The JavaScript client, in Node and in Chromium, against a broker process and the Face simulator."""

import asyncio
import json
import os
import re
import subprocess
import tarfile
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from aiohttp import web

from tests.clients.services import browser, missing, program, services

# A client waits as the service says, and a browser starts slowly on a loaded machine.
pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients/javascript"
TYPESCRIPT = ROOT / ".tools/typescript/node_modules/typescript/bin/tsc"
_CONSUMER = """
import { LivenessClient, LivenessError, SENTENCES, memoryStorage } from "face-liveness-client";
import type { LivenessResult, LivenessStorage } from "face-liveness-client";

class Kept implements LivenessStorage {
  async getItem(name: string): Promise<string | null> { return name; }
  async setItem(_name: string, _value: string): Promise<void> {}
  async removeItem(_name: string): Promise<void> {}
}

export async function check(signal: AbortSignal, storage: LivenessStorage = new Kept()): Promise<string> {
  const client = new LivenessClient({ url: "https://a", accessToken: async () => "t", storage });
  new LivenessClient({ url: "https://a", storage: memoryStorage(), fetch });
  try {
    const request = { livenessOperationMode: "PassiveActive", clientReference: "order:1" } as const;
    const perform = async (authToken: string) => (authToken ? "digest" : undefined);
    const result: LivenessResult = await client.check({ name: "a", request, perform, signal });
    const session = await client.create();
    await client.revoke(session, { name: "a" });
    return result.passed === true ? result.tell : (SENTENCES[result.failure?.code ?? ""] ?? result.outcome);
  } catch (error) {
    if (error instanceof LivenessError && error.again !== "never") return error.tell;
    throw error;
  }
}
// @ts-expect-error: `url` is required.
new LivenessClient({});
// @ts-expect-error: a field that the service does not have.
new LivenessClient({ url: "" }).create({ request: { userCorrelationId: "a" } });
"""
# What an app has besides: its own functions, and Microsoft's package.
_APP = """
declare module "azure-ai-vision-face-ui";
interface HTMLElementTagNameMap {
  "azure-ai-vision-face-ui": HTMLElement & { start(token: string): Promise<{ digest: string }> };
}
declare const backend: { livenessGrant(reference: string): Promise<string> };
declare function show(sentence: string): void;
declare function offerToRepeat(): void;
declare function report(code: string, requestId?: string): void;
"""
# An app that came from Microsoft's sample; only its waits move the time on.
_SAMPLES_APP = """
const [session, success, accessToken] = [{{ sessionId: "s", authToken: "t" }}, {{ digest: "d" }}, "a"];
const [answers, attempts, waits] = [{answers}, 1, []];
Date.now = () => waits.reduce((sum, wait) => sum + wait, 0);
globalThis.setTimeout = (done, wait) => void done(waits.push(wait));
globalThis.fetch = async () => {{
  const [status, body] = answers.length > 1 ? answers.shift() : answers[0];
  return new Response(JSON.stringify(body), {{ status }});
}};
const read = async () => {{
{lines}
  return live ?? null;
}};
console.log(JSON.stringify([await read().catch(String), waits]));
"""
_UNFINISHED: dict[str, object] = {"status": "Started", "passed": False, "attempts": 1, "retryAfterSeconds": 2}
_MASK: dict[str, object] = {"failure": {"code": "FaceWithMaskDetected"}, "attempts": 2}
_PASSED: dict[str, object] = {"status": "ResultAvailable", "passed": True, "attempts": 2}
_PAGE = """<!doctype html><meta charset="utf-8"><title>A check</title><script type="module">
import {{ LivenessClient }} from "./liveness.js";
const perform = async (token) => {{
  const headers = {{ Authorization: `Bearer ${{token}}` }};
  return (await (await fetch("{simulator}/simulator/perform", {{ method: "POST", headers }})).json()).digest;
}};
const client = new LivenessClient({{ url: "{broker}" }});
const outcomes = {{}};
for (const outcome of ["realface", "spoofface", "digest-mismatch"]) {{
  const result = await client.check({{ request: {{ deviceCorrelationId: `sim-${{outcome}}` }}, perform }});
  outcomes[outcome] = [result.outcome, result.digestMatches];
}}
// A device is known again, and what the service limits is readable by a page of another origin.
outcomes.device = (await client.deviceId()) === localStorage.getItem("liveness.device");
const create = (name) => client.create({{ name, request: {{ deviceCorrelationId: "one" }} }});
for (const name of "abcde") await create(name);
const error = await create("f").catch((thrown) => thrown);
outcomes.throttled = [error.code, error.retryAfterSeconds > 0, error.tell];
await fetch("/done", {{ method: "POST", body: JSON.stringify(outcomes) }});
</script>
"""


async def test_the_client_in_node() -> None:
    """Its own tests: outcomes, restarts, retries, limits, and what a person is told."""
    node = program("node")
    async with services() as running:
        environment = {"PATH": os.environ["PATH"], "BROKER": running.broker, "SIMULATOR": running.simulator}
        process = await asyncio.create_subprocess_exec(
            node, "--test", cwd=CLIENT, env=environment, stdout=PIPE, stderr=STDOUT
        )
        output = (await process.communicate())[0].decode()

    assert process.returncode == 0, output
    # A run without tests passes too.
    assert int(re.findall(r"^\W*pass (\d+)$", output, re.MULTILINE)[0]) >= 100


async def test_the_client_in_a_browser(tmp_path: Path) -> None:
    """A page of an allowed origin does whole checks, and reads errors with their waits."""
    command = browser(tmp_path)
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    content = ""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=content, content_type="text/html")

    async def finish(request: web.Request) -> web.Response:
        done.set_result(await request.text())
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/done", finish), web.static("/", CLIENT)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with services(ALLOWED_ORIGINS=origin) as running:
        content = _PAGE.format(broker=running.broker, simulator=running.simulator)
        process = await asyncio.create_subprocess_exec(
            *command, "--remote-debugging-port=0", origin, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(200):
                outcomes = json.loads(await done)
        finally:
            process.terminate()
            await process.communicate()
    await runner.cleanup()

    assert {name: outcomes[name] for name in ("realface", "spoofface", "digest-mismatch")} == {
        "realface": ["passed", True],
        "spoofface": ["failed", True],
        "digest-mismatch": ["failed", False],
    }
    assert outcomes["device"] is True
    assert outcomes["throttled"][:2] == ["DeviceThrottled", True]
    assert re.search(r"Please try again in 1[01] minutes\.$", outcomes["throttled"][2])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([(200, _UNFINISHED), (200, _PASSED)], [True, [2000]]),
        ([(200, _UNFINISHED | _MASK), (200, _PASSED)], [None, []]),
        ([(200, _UNFINISHED | _MASK | {"attempts": 1}), (200, _PASSED)], [True, [2000]]),
        ([(200, _UNFINISHED)], [None, [2000] * 45]),
        ([(200, {"status": "Expired", "passed": False})], [False, []]),
        ([(502, {"error": {"code": "UpstreamFailure"}})], ["Error: The service answered 502.", []]),
    ],
)
def test_lines_for_apps_of_the_sample_wait_for_a_result(
    answers: list[tuple[int, dict[str, object]]], expected: list[object]
) -> None:
    """A person is refused by a result alone: not before there is one, and not while another attempt is allowed."""
    page = (ROOT / "docs/from-the-sample.md").read_text("utf-8")
    [lines] = re.findall(r"^// After\. `attempts`.*?(?=^```)", page, re.DOTALL | re.MULTILINE)
    script = _SAMPLES_APP.format(answers=json.dumps(answers), lines=lines)
    ended = subprocess.run(  # noqa: S603 - the program that was looked up.
        [program("node"), "--input-type=module", "--eval", script], capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == expected


def test_the_package_has_types_for_strict_typescript(tmp_path: Path) -> None:
    """An app that installs what `npm pack` makes compiles, and so do the lines of README.md."""
    if not TYPESCRIPT.exists():
        missing("TypeScript is not installed: run scripts/typescript.sh, which needs Node and npm.")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        ended = subprocess.run(  # noqa: S603 - the programs that were looked up.
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    packed = run(program("npm"), "pack", "--silent", str(CLIENT)).strip()
    folder = tmp_path / "node_modules/face-liveness-client"
    with tarfile.open(tmp_path / packed) as package:
        package.extractall(tmp_path, filter="data")
    folder.parent.mkdir()
    (tmp_path / "package").rename(folder)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "app.ts").write_text(_CONSUMER)
    [example, _] = re.findall(
        r"^```js\n(.*?)^```", (CLIENT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "example.js").write_text(example)
    (tmp_path / "app.d.ts").write_text(_APP)

    assert {path.name for path in folder.iterdir()} >= {"LICENSE", "README.md", "liveness.js", "errors.js"}
    strict = (program("node"), str(TYPESCRIPT), "--noEmit", "--strict", "--target", "es2022")
    run(*strict, "--lib", "es2022,dom", "--module", "nodenext", "app.ts")
    run(*strict, "--lib", "es2022,dom", "--module", "es2022", "--moduleResolution", "bundler", "app.ts")
    loose = ("--strict", "false", "--allowJs", "--checkJs", "--module", "nodenext")
    run(*strict, "--lib", "es2022,dom", *loose, "example.js", "app.d.ts")


def test_the_client_imports_its_own_files_alone() -> None:
    """Bundlers for browsers stop at the name of a module of Node."""
    code = "".join((CLIENT / name).read_text("utf-8") for name in ("liveness.js", "errors.js"))

    assert re.findall(r"""(?:from |import\(|require\()["']([^"']+)""", code) == ["./errors.js"]


def test_types_name_what_the_client_exports() -> None:
    """The declarations have the same functions, classes, methods and constants."""
    code, types = ((CLIENT / f"liveness.{end}").read_text("utf-8") for end in ("js", "d.ts"))
    exported = r"^export (?:class|function|const) (\w+)"
    methods = re.findall(r"^  (?:async )?(\w+)\(.*\) \{$", code, re.MULTILINE)

    assert set(re.findall(exported, types, re.MULTILINE)) == set(re.findall(exported, code, re.MULTILINE))
    assert {"check", "create", "result", "revoke", "deviceId"} == set(methods) - {"constructor"}
    assert [name for name in methods if not re.search(rf"^  {name}\(", types, re.MULTILINE)] == []
