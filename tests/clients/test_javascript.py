"""The JavaScript client, in Node and in Chromium, against a broker process and the Face simulator."""

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest
from aiohttp import web

from tests.clients.services import program, services

# A client waits as the service says, and a browser starts slowly on a loaded machine.
pytestmark = pytest.mark.timeout(300)

CLIENT = Path(__file__).parents[2] / "clients/javascript"
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
    # Of Node 18 and 20; a run without tests passes too.
    assert int(re.findall(r"^\W*pass (\d+)$", output, re.MULTILINE)[0]) >= 20


async def test_the_client_in_a_browser(tmp_path: Path) -> None:
    """A page of an allowed origin does whole checks, and reads errors with their waits."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
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
        flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}")
        process = await asyncio.create_subprocess_exec(
            chromium, *flags, "--remote-debugging-port=0", origin, stdout=PIPE, stderr=STDOUT
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


def test_types_name_what_the_client_exports() -> None:
    """The declarations have the same functions, classes, methods and constants."""
    code, types = ((CLIENT / f"liveness.{end}").read_text("utf-8") for end in ("js", "d.ts"))
    exported = r"^export (?:class|function|const) (\w+)"
    methods = re.findall(r"^  (?:async )?(\w+)\(.*\) \{$", code, re.MULTILINE)

    assert set(re.findall(exported, types, re.MULTILINE)) == set(re.findall(exported, code, re.MULTILINE))
    assert {"check", "create", "result", "revoke", "deviceId"} == set(methods) - {"constructor"}
    assert [name for name in methods if not re.search(rf"^  {name}\(", types, re.MULTILINE)] == []
