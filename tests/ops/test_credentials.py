"""The operator's login."""

from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.queue.aio import QueueClient

from ops.access import QUEUE_WRITER, explained
from ops.credentials import STORAGE, OperatorCredential
from ops.output import CommandFailed
from shared.errors import KeyUnavailable
from shared.queues.azure_queue import AzureQueue
from tests.support.azurite import StubCredential
from tests.support.time import FakeClock

EVENT_GRID = "https://eventgrid.azure.net/.default"


@dataclass
class CountingCredential(StubCredential):
    """Returns numbered tokens that end at a time in seconds, or raises."""

    ends_at: int = 2**33
    failure: Exception | None = None

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        if self.failure:
            raise self.failure
        self.scopes.extend(scopes)
        return AccessToken(f"token-{len(self.scopes)}", self.ends_at)


async def test_token_is_kept_until_five_minutes_before_its_end() -> None:
    """The Azure CLI takes seconds for one. Each scope has its own, and claims mean that a token was refused."""
    clock = FakeClock()
    inner = CountingCredential(ends_at=clock.now // 1000 + 3_600)
    credential = OperatorCredential(inner, clock)

    async def asks(scope: str = STORAGE, seconds: float = 0, **options: str) -> bool:
        clock.advance_seconds(seconds)
        before = len(inner.scopes)
        await credential.get_token(scope, **options)
        return inner.scopes[before:] == [scope]

    assert await asks()
    assert await asks(EVENT_GRID)
    assert not await asks(seconds=3_300)
    assert await asks(claims="{}")
    assert await asks(seconds=1)


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (
            ClientAuthenticationError(message="AADSTS1: \x1b[2J log in\nTrace: 1"),
            r"this machine has no managed identity, and the Azure CLI says: AADSTS1: \x1b[2J log in",
        ),
        (KeyUnavailable("the managed identity is missing"), "the managed identity is missing"),
    ],
)
async def test_failed_login_is_one_printable_line(failure: Exception, line: str) -> None:
    """The rest of what the CLI wrote is left out, and nothing acts on the terminal."""
    with pytest.raises(CommandFailed) as caught:
        await OperatorCredential(CountingCredential(failure=failure)).get_token(STORAGE)

    assert str(caught.value) == f"no token: {line}"


async def test_login_that_ends_during_a_command_is_named() -> None:
    """The error is not mistaken for one of the storage account."""
    failure = ClientAuthenticationError(message="log in again")
    credential = OperatorCredential(CountingCredential(failure=failure))

    async with QueueClient("https://localhost:1", "a-queue", credential=credential) as client:
        queue = AzureQueue(client, create=False, deadline=10)
        said = r"^the queue: no token: .*: log in again$"
        with pytest.raises(CommandFailed, match=said), explained("the queue", QUEUE_WRITER):
            await queue.send("a-text", 0)
