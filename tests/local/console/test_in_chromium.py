"""The console page in Chromium, of a run whose callers sign in."""

import asyncio
import itertools
import json
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.services import browser
from tests.local.test_printed_commands import running

# A browser starts slowly on a loaded machine.
pytestmark = pytest.mark.timeout(300)

# The last thing that the page does when it starts.
_READY = "Boolean(document.getElementById('device-id')?.value)"
_STEP = """
new Promise((resolve) => {
  const line = document.getElementById("%s-outcome");
  line.replaceChildren();
  new MutationObserver(() => line.textContent && resolve(line.textContent)).observe(line, { childList: true });
  const start = document.getElementById("%s");
  if (start.requestSubmit) start.requestSubmit(); else start.click();
})
"""


class Tab:
    """A page that is driven by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count()

    async def evaluate(self, script: str) -> Any:  # noqa: ANN401 - any JSON.
        """The value of an expression, or of its promise; None where the page was replaced by another meanwhile."""
        number = next(self._numbers)
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        await self._socket.send_json({"id": number, "method": "Runtime.evaluate", "params": parameters})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == number:
                result = answer.get("result", {"result": {}})
                assert "exceptionDetails" not in result, answer
                return result["result"].get("value")
        raise ConnectionError("the browser has ended")

    async def fill(self, **values: str) -> None:
        """Give fields their values; an underscore in a name stands for a hyphen."""
        for name, value in values.items():
            field = f"document.getElementById({json.dumps(name.replace('_', '-'))})"
            await self.evaluate(
                f"{field}.value = {json.dumps(value)}; {field}.dispatchEvent(new Event('change'))"
            )

    async def take(self, step: str, control: str) -> str:
        """Use a form or a button of a step; return the sentence that the step then shows."""
        async with asyncio.timeout(60):
            shown: str = await self.evaluate(_STEP % (step, control))
        return shown


@asynccontextmanager
async def opened(url: str, profile: Path) -> AsyncIterator[Tab]:
    """Open a page in a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        *browser(profile), "--remote-debugging-port=0", url, stdout=DEVNULL, stderr=PIPE
    )
    try:
        assert process.stderr
        async for line in process.stderr:
            if listening := re.search(rb"ws://(127\.0\.0\.1:\d+)", line):
                break
        host = listening[1].decode() if listening else ""
        async with aiohttp.ClientSession() as http:
            pages: list[str] = []
            while not pages:
                async with http.get(f"http://{host}/json/list") as answer:
                    targets = await answer.json()
                pages = [each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"]
            async with http.ws_connect(pages[0], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        await process.communicate()


async def test_signed_in_callers_take_all_steps(tmp_path: Path) -> None:
    """A session belongs to the person that creates it, and only a grant names its transaction."""
    with running(tmp_path, "--auth", "jwt") as (_, addresses):
        async with opened(f"{addresses['http://127.0.0.1:7071']}/console", tmp_path / "profile") as tab:
            while not await tab.evaluate(_READY):  # noqa: ASYNC110 - the browser says nothing of it.
                await asyncio.sleep(0.05)
            made = await tab.take("create", "create-form")
            performed = await tab.take("perform", "perform-form")
            passed = await tab.take("read", "read")
            await tab.fill(caller_name="ben")
            of_another = await tab.take("read", "read")
            await tab.fill(caller="server", caller_name="backend")
            of_server = await tab.take("read", "read-no-token")
            await tab.fill(caller="person", caller_name="anna", client_reference="order:4711")
            named = await tab.take("create", "create-form")
            await tab.fill(caller="grant")
            granted = await tab.take("create", "create-form")

    assert (made, granted) == ("200 The session is created.",) * 2
    assert performed.startswith("200 The phone has a digest.")
    assert passed == "200 Passed: ResultAvailable, decision realface, the digest matches."
    assert of_another.startswith("404 SessionNotFound")
    assert of_server == passed
    assert named.startswith("403 Forbidden")
