"""Azure Queue Storage: what goes over the wire, and what is said when it fails."""

import base64
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken

from shared.errors import KeyUnavailable, StorageUnavailable
from shared.queues.azure_queue import QueueAccount, open_queue, queue_client
from shared.queues.port import MAX_DELAY_SECONDS
from tests.shared.queues.conftest import shown
from tests.shared.storage.raw_server import HANG, RESET, RawServer, answer
from tests.support.azurite import Azurite, StubCredential

ROOT = Path(__file__).parents[3]
NOW = "Mon, 23 Nov 2026 09:52:00 GMT"
MESSAGE = (
    f"<MessageId>1</MessageId><InsertionTime>{NOW}</InsertionTime><ExpirationTime>{NOW}</ExpirationTime>"
    f"<PopReceipt>2</PopReceipt><TimeNextVisible>{NOW}</TimeNextVisible>"
)
CREATED = answer(
    201,
    f"<QueueMessagesList><QueueMessage>{MESSAGE}</QueueMessage></QueueMessagesList>",
    {"Content-Type": "application/xml"},
)
CHECK = """
import asyncio, sys
from shared.queues.azure_queue import QueueAccount, open_queue
from tests.support.azurite import StubCredential

async def check() -> None:
    queue = open_queue(QueueAccount(sys.argv[1], StubCredential()), sys.argv[2], create=True)
    await queue.check()
    await queue.aclose()

asyncio.run(check())
"""


def connection_string(server: RawServer) -> str:
    return server.connection_string.replace("TableEndpoint", "QueueEndpoint")


def refusal(status: int, code: str) -> bytes:
    """An answer that refuses, in the shape of the queue service."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>a message</Message></Error>'
    return answer(status, body, {"Content-Type": "application/xml", "x-ms-error-code": code})


async def detail(*answers: bytes, deadline: float = 2.0) -> tuple[str, list[str]]:
    """What is said of a queue that answers like this, and the calls that it got."""
    async with RawServer(answers) as server:
        queue = open_queue(connection_string(server), "q", deadline=deadline)
        with pytest.raises(StorageUnavailable) as unavailable:
            await queue.send("a", 0)
        await queue.aclose()
    return unavailable.value.detail, server.methods()


async def test_text_is_base64_on_the_wire(azurite: Azurite, name: str) -> None:
    """The trigger of the Functions host takes nothing else (`messageEncoding` in host.json)."""
    queue = open_queue(azurite.connection_string, name, create=True)
    await queue.send('{"é": 1}', 0)
    await queue.aclose()

    async with queue_client(azurite.connection_string, name, encoded=False) as raw:
        [message] = await raw.peek_messages(max_messages=32)
    assert base64.b64decode(message.content, validate=True).decode() == '{"é": 1}'


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(0, 0), (-1, 0), (605, 605), (605.4, 605), (605.6, 606), (1e9, MAX_DELAY_SECONDS)],
)
async def test_delay_goes_over_the_wire_in_whole_seconds(delay: float, seconds: int) -> None:
    """It is within what the service takes: https://learn.microsoft.com/rest/api/storageservices/put-message."""
    async with RawServer([CREATED]) as server:
        queue = open_queue(connection_string(server), "q")
        await queue.send("a", delay)
        await queue.aclose()

    [request] = server.received
    assert re.findall(r"visibilitytimeout=(\d+)", request.path) == [str(seconds)]
    assert 0 <= seconds < 7 * 86_400


async def test_message_never_expires() -> None:
    """By itself a queue drops what lies in it for a week, and the session's event with it."""
    async with RawServer([CREATED]) as server:
        queue = open_queue(connection_string(server), "q")
        await queue.send("a", 0)
        await queue.aclose()

    [request] = server.received
    assert "messagettl=-1" in request.path


async def test_missing_queue_is_not_made_in_azure(azurite: Azurite, name: str) -> None:
    """There it is provisioned: that it is missing is told, by sending and by the check."""
    queue = open_queue(azurite.connection_string, name)
    for call in (queue.send("a", 0), queue.check()):
        with pytest.raises(StorageUnavailable, match="does not exist, and is to be made by the deployment"):
            await call
    await queue.aclose()


async def test_missing_queue_is_made_locally_with_its_first_use(azurite: Azurite, name: str) -> None:
    """Nobody has to prepare anything on a laptop."""
    queue = open_queue(azurite.connection_string, name, create=True)
    await queue.check()
    assert await shown(azurite.connection_string, name) == []
    await queue.send("a", 0)
    assert await shown(azurite.connection_string, name) == ["a"]
    await queue.aclose()


async def test_queue_is_made_only_where_it_is_missing() -> None:
    """One call is one request once the queue is there."""
    missing = refusal(404, "QueueNotFound")
    async with RawServer([missing, answer(201), CREATED, CREATED]) as server:
        queue = open_queue(connection_string(server), "q", create=True)
        await queue.send("a", 0)
        await queue.send("b", 0)
        await queue.aclose()

    assert server.methods() == ["POST", "PUT", "POST", "POST"]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(refusal(401, "NoAuthenticationInformation"), "Storage Queue Data Contributor", id="401"),
        pytest.param(refusal(403, "AuthorizationFailure"), "Storage Queue Data Contributor", id="403"),
        pytest.param(
            refusal(403, "AuthorizationFailure"), "network rules have to admit the app", id="firewall"
        ),
        pytest.param(refusal(404, "QueueNotFound"), "the queue does not exist", id="404"),
        pytest.param(refusal(409, "QueueBeingDeleted"), "the queue failed: .* 409", id="409"),
        pytest.param(refusal(500, "InternalError"), "the queue failed: HttpResponseError 500", id="500"),
        pytest.param(refusal(503, "ServerBusy"), "the queue failed: HttpResponseError 503", id="503"),
        pytest.param(
            answer(307, "", {"Location": "http://127.0.0.1:1/"}), "the queue failed: .* 307", id="redirect"
        ),
        pytest.param(answer(500, "<html>"), "the queue failed: .*", id="no XML"),
        pytest.param(RESET, "the queue failed: ServiceRe", id="reset"),
    ],
)
async def test_refused_message_is_told_and_not_sent_again(reply: bytes, said: str) -> None:
    """The operator learns what to do; the caller decides about another try."""
    told, calls = await detail(reply)

    assert re.search(said, told)
    assert calls == ["POST"]


async def test_server_that_hangs_is_given_up_at_the_deadline() -> None:
    """A phone waits for this: not longer than it was told to."""
    told, calls = await detail(HANG, deadline=0.2)

    assert told in ("the queue did not answer in time", "the queue failed: ServiceResponseTimeoutError")
    assert calls == ["POST"]


async def test_nobody_who_listens_is_told() -> None:
    """A service that is down fails at once."""
    async with RawServer([CREATED]) as server:
        address = connection_string(server)
    queue = open_queue(address, "q")
    with pytest.raises(StorageUnavailable, match="the queue failed: ServiceRequestError"):
        await queue.send("a", 0)
    await queue.aclose()


async def test_queue_that_comes_back_is_used_again() -> None:
    """A failure leaves nothing behind that would outlast it."""
    async with RawServer([RESET, refusal(503, "ServerBusy"), CREATED]) as server:
        queue = open_queue(connection_string(server), "q")
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await queue.send("a", 0)
        await queue.send("a", 0)
        await queue.aclose()


async def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages go to the account and nowhere else."""
    async with RawServer([CREATED]) as proxy, RawServer([CREATED]) as server:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, re.search(r"http://[^/]+", proxy.connection_string)[0])  # type: ignore[index]
        queue = open_queue(connection_string(server), "q")
        await queue.send("a", 0)
        await queue.aclose()

    assert (len(server.received), len(proxy.received)) == (1, 0)


class NoToken(StubCredential):
    """An identity that the platform gives no token."""

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        raise KeyUnavailable("the managed identity is missing")


async def test_missing_token_is_trouble_of_the_queue(azurite_with_oauth: Azurite, trusted: None) -> None:
    """Who sends hears of one kind of failure, whatever is behind it."""
    queue = open_queue(QueueAccount(azurite_with_oauth.endpoint("queue"), NoToken()), "q")
    with pytest.raises(StorageUnavailable, match="no token for the queue: the managed identity is missing"):
        await queue.send("a", 0)
    await queue.aclose()


async def test_token_is_for_storage(azurite_with_oauth: Azurite, trusted: None, name: str) -> None:
    """The identity is asked for the storage service, once for many messages."""
    credential = StubCredential()
    queue = open_queue(QueueAccount(azurite_with_oauth.endpoint("queue"), credential), name, create=True)
    await queue.send("a", 0)
    await queue.send("b", 0)
    await queue.aclose()

    assert credential.scopes == ["https://storage.azure.com/.default"]


async def test_server_of_an_unknown_authority_is_sent_nothing(azurite_with_oauth: Azurite, name: str) -> None:
    """A token is given to the service alone, not to whoever answers under its address."""
    queue = open_queue(QueueAccount(azurite_with_oauth.endpoint("queue"), StubCredential()), name)
    with pytest.raises(StorageUnavailable, match="the queue failed: ServiceRequestError"):
        await queue.send("a", 0)
    await queue.aclose()


def test_process_trusts_the_authorities_of_its_environment(
    azurite_with_oauth: Azurite, name: str, tmp_path: Path
) -> None:
    """An app as it runs in Azure can be pointed at Azurite with `SSL_CERT_FILE` alone."""
    assert azurite_with_oauth.tls
    azurite_with_oauth.tls.write_authority(tmp_path / "authority.pem")

    subprocess.run(  # noqa: S603 - the interpreter that runs this test.
        [sys.executable, "-W", "error", "-c", CHECK, azurite_with_oauth.endpoint("queue"), name],
        cwd=ROOT,
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "authority.pem")},
        check=True,
    )


def test_credential_over_plain_http_is_refused() -> None:
    """A token is not sent where everybody on the way can read it."""
    with pytest.raises(ValueError, match="HTTPS"):
        open_queue(QueueAccount("http://127.0.0.1:10001/tests", StubCredential()), "q")


async def test_failure_tells_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error with all that led to it nor a log has the account's key, or what was signed with it."""
    caplog.set_level("DEBUG")
    async with RawServer([refusal(403, "AuthenticationFailed")]) as server:
        key = re.search(r"AccountKey=([^;]+)", server.connection_string)
        assert key
        queue = open_queue(connection_string(server), "q")
        with pytest.raises(StorageUnavailable) as unavailable:
            await queue.send("a", 0)
        await queue.aclose()

    told = "".join(traceback.format_exception(unavailable.value)) + caplog.text
    assert key[1] not in told
    assert "SharedKey" not in told


@pytest.mark.parametrize("module", ["shared.queues.azure_queue", "shared.events.event_grid"])
def test_importing_the_adapter_imports_no_sdk(module: str) -> None:
    """A fresh interpreter has neither the Azure SDK nor its transport until something is opened."""
    code = f"import sys, {module}; print([name for name in sys.modules if name.startswith(('azure', 'aiohttp'))])"

    loaded = subprocess.run(  # noqa: S603 - the interpreter that runs this test.
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"
