"""Doubles for the tests of the client: keys, a Face in memory, clients, and responses of Face."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from shared.face import v1_1_preview_1
from shared.face.answers import ApiVersion
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import LivenessMode, SessionSpec
from shared.http_port import HttpAnswer
from shared.keys.credentials import key_credential
from shared.keys.secret import Secret, SecretSource
from tests.support.http import answer_of, own_transport

KEY = "canary-face-key-0123456789abcdef"
SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"
TOKEN = "eyJhbGciOiJFUzI1NiIsIm"
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"
SPEC = SessionSpec(LivenessMode.PASSIVE, device_id="723d6d03-ef33-40a8-9682-23a1feb7bccd", token_lifetime=600)

BASE_URL = "http://127.0.0.1:1"

CREATED = {"sessionId": SESSION, "authToken": TOKEN}
NOT_STARTED = {"id": SESSION, "status": "NotStarted", "sessionExpired": False}
NOT_FOUND = {
    "error": {
        "code": "SessionNotFound",
        "message": "Session Id is not found. The session id is expired or does not exist.",
    }
}

HANG = None
"""A step of `ScriptedFace` that never answers."""


class FakeKeys:
    """A `SecretSource` that returns the first key; a refresh drops it if there is another one."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys) or [KEY]
        self.refused: list[str] = []

    async def get(self) -> Secret:
        return Secret(self.keys[0])

    async def refresh(self, refused: Secret) -> Secret:
        self.refused.append(refused.reveal())
        if len(self.keys) > 1:
            self.keys.pop(0)
        return await self.get()


async def _no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


@dataclass(frozen=True)
class Sent:
    """One request that a transport was given."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def path(self) -> str:
        """What comes after the base URL."""
        return self.url.removeprefix(BASE_URL)


class ScriptedFace:
    """Face in memory: takes one step for each request, and repeats the last one.

    A step is a status with content (JSON or bytes) and header fields, an exception that the request ends in, or `HANG`.
    `requests` holds what came, `times` when it came (loop time).
    """

    def __init__(self, *steps: "Step") -> None:
        self._steps = list(steps)
        self.requests: list[Sent] = []
        self.times: list[float] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        self.requests.append(Sent(method, url, headers, content or b""))
        self.times.append(asyncio.get_running_loop().time())
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        if step is None:
            await asyncio.Event().wait()
            raise AssertionError("nothing ends this wait")
        return answer_of(*step)

    def client(
        self,
        *,
        version: ApiVersion = v1_1_preview_1.VERSION,
        keys: SecretSource | None = None,
        budget: Budget | None = None,
    ) -> FaceClient:
        """Make a client of this Face with the patience of production and the longest jitter."""
        now = asyncio.get_running_loop().time
        return FaceClient(
            self,
            BASE_URL,
            version,
            key_credential(keys or FakeKeys()),
            budget or Budget(10, monotonic=now),
            random=lambda: 1.0,
        )


Step: TypeAlias = tuple[int, object] | tuple[int, object, Mapping[str, str]] | Exception | None


@asynccontextmanager
async def face_client(
    base_url: str, *, version: ApiVersion = v1_1_preview_1.VERSION, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[FaceClient]:
    """Make a client that is closed at the end, with the longest jitter and no waits."""
    async with own_transport(ssl_context) as http:
        yield FaceClient(
            http,
            base_url,
            version,
            key_credential(FakeKeys()),
            Budget(10_000),
            sleep=_no_wait,
            random=lambda: 1.0,
        )
