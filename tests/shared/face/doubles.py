"""What the client is tested with: a credential, a client with short deadlines, and answers of Face."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from shared.face import v1_1_preview_1
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import LivenessMode, SessionSpec
from shared.face.retries import CREATE_PATIENCE, READ_PATIENCE, Patience
from shared.face.transport import make_http_transport
from shared.face.versions import ApiVersion
from shared.face.wire import UpstreamResponse
from tests.shared.face.fault_server import answer_json

KEY = "canary-face-key-0123456789abcdef"
SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"
TOKEN = "eyJhbGciOiJFUzI1NiIsIm"
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"
SPEC = SessionSpec(LivenessMode.PASSIVE, device_id="723d6d03-ef33-40a8-9682-23a1feb7bccd", token_lifetime=600)

CREATED = {"sessionId": SESSION, "authToken": TOKEN}
NOT_STARTED = {"id": SESSION, "status": "NotStarted", "sessionExpired": False}
NOT_FOUND = {
    "error": {
        "code": "SessionNotFound",
        "message": "Session Id is not found. The session id is expired or does not exist.",
    }
}

created = answer_json(200, CREATED)
not_started = answer_json(200, NOT_STARTED)
not_found = answer_json(404, NOT_FOUND)

NOT_IDS = [
    "",
    ".",
    "..",
    "../../../face/v1.0/largepersongroups",
    "%2e%2e",
    "%2e%2e%2f",
    SESSION.upper(),
    SESSION.replace("-", ""),
    f"{{{SESSION}}}",
    f"urn:uuid:{SESSION}",
    f"{SESSION}\n",
    f"\n{SESSION}",
    f"{SESSION} ",
    f"{SESSION}/",
    f"{SESSION}/audit",
    f"{SESSION}/..",
    f"{SESSION}?top=1",
    f"{SESSION}#",
    f"{SESSION};x",
    f"{SESSION}\\..",
    f"{SESSION}\r\nX: y",
    f"{SESSION}\0",
    SESSION.replace("1", "\N{FULLWIDTH DIGIT ONE}"),
    SESSION.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    SESSION.replace("-", "\N{HYPHEN}"),
    f"b12e033ebda7-4b83-a211-e721c661f30e{'-'}",
    SESSION[:-1],
    SESSION + "0",
    SESSION * 300,
]
"""What a lenient reader might take for a session id, and what would lead a URL elsewhere."""

SHORT = Patience(total=4.0, per_try=0.6)
"""Deadlines that tests can wait for, and that a loaded machine keeps."""


class FakeCredential:
    """Holds keys and hands out the first; `renew` drops it where there is another one."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys) or [KEY]
        self.refused: list[Mapping[str, str]] = []

    async def headers(self) -> Mapping[str, str]:
        return {"Ocp-Apim-Subscription-Key": self.keys[0]}

    async def renew(self, refused: Mapping[str, str]) -> bool:
        self.refused.append(refused)
        if len(self.keys) > 1:
            self.keys.pop(0)
            return True
        return False


class RecordedSleep:
    """Waits for nothing, and remembers for how long it was asked to."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


def plain_http_transport() -> httpx.AsyncHTTPTransport:
    """Open connections as in production, without reading the certificates of this machine, which takes time."""
    return make_http_transport(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@asynccontextmanager
async def face_client(
    base_url: str,
    *,
    version: ApiVersion = v1_1_preview_1,
    credential: FakeCredential | None = None,
    budget: Budget | None = None,
    sleep: RecordedSleep | None = None,
    patience: Patience | None = SHORT,
    http: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[FaceClient]:
    """Make a client that is closed in the end, with the longest jitter; patience None: as in production."""
    async with http or plain_http_transport() as opened:
        yield FaceClient(
            opened,
            base_url,
            version,
            credential or FakeCredential(),
            budget or Budget(10_000),
            sleep=sleep or RecordedSleep(),
            random=lambda: 1.0,
            create_patience=patience or CREATE_PATIENCE,
            read_patience=patience or READ_PATIENCE,
        )


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> UpstreamResponse:
    """Answer as the transport hands it over."""
    return UpstreamResponse(status, {"content-type": "application/json", **(headers or {})}, body)
