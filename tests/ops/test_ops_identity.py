"""The commands with an identity in place of a key, over an Azurite that asks for tokens."""

import base64
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ResourceExistsError
from azure.storage.queue.aio import QueueClient

from local.ops.credentials import STORAGE, OperatorCredential
from local.ops.failures import Failure
from local.ops.output import Output
from local.ops.poison import replay_poison
from local.ops.poison_queue import PoisonQueue
from local.ops.session import show_session
from shared.face.model import SessionStatus
from shared.queues.azure_queue import AzureQueue
from shared.sessions.record import SessionRecord
from shared.sessions.store import Sessions
from tests.ops.depot import collect_message
from tests.support.azurite import Azurite, StubCredential
from tests.support.time import FakeClock


async def test_record_is_shown_to_an_identity(
    azurite_with_oauth: Azurite, trusted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The credential is asked once, however many requests there are."""
    stub = StubCredential()
    store = azurite_with_oauth.account_for(OperatorCredential(stub)).open_tables(deadline=10)
    record = SessionRecord(str(uuid.uuid4()), "x", "x", 0, 1, status=SessionStatus.EXPIRED)
    await Sessions(store, 1).add(record)

    await show_session(store, Output(as_json=False), record.session_id)
    await store.aclose()

    assert "status                Expired" in capsys.readouterr().out
    assert stub.scopes == [STORAGE]


async def test_messages_are_replayed_by_an_identity(
    azurite_with_oauth: Azurite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both queues are reached with one token."""
    assert azurite_with_oauth.tls
    authority = tmp_path / "authority.pem"
    azurite_with_oauth.tls.write_authority(authority)
    credential = OperatorCredential(StubCredential())

    def client(name: str) -> QueueClient:
        return QueueClient(
            azurite_with_oauth.endpoint("queue"),
            name,
            credential=credential,
            connection_verify=str(authority),
        )

    async with client("ops-poison") as poison, client("ops-results") as results:
        for queue in (poison, results):
            try:
                await queue.create_queue()
            except ResourceExistsError:
                await queue.clear_messages()
        await poison.send_message(base64.b64encode(collect_message().encode()).decode())

        app_queue = AzureQueue(results, create=False, deadline=10)
        await replay_poison(PoisonQueue(poison, app_queue), Output(as_json=False), None)

        assert len(await results.peek_messages()) == 1
        assert await poison.peek_messages() == []
    assert "1 given back" in capsys.readouterr().out


@dataclass
class CountingCredential(StubCredential):
    """Answers tokens that end at a time, numbered; or raises."""

    ends_at: int = 0
    failure: Exception | None = None

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        if self.failure:
            raise self.failure
        self.scopes.extend(scopes)
        return AccessToken(f"token-{len(self.scopes)}", self.ends_at)


async def test_token_is_kept_until_shortly_before_its_end() -> None:
    """Asking the Azure CLI takes seconds: it is done once, and again five minutes before the token ends."""
    clock = FakeClock()
    inner = CountingCredential(ends_at=clock.now // 1000 + 3_600)
    credential = OperatorCredential(inner, clock)

    first = await credential.get_token(STORAGE)
    clock.advance_seconds(3_299)
    second = await credential.get_token(STORAGE)
    clock.advance_seconds(2)
    third = await credential.get_token(STORAGE)

    assert [token.token for token in (first, second, third)] == ["token-1", "token-1", "token-2"]


async def test_tokens_of_two_services_are_kept_apart() -> None:
    """A token for storage is none for Event Grid."""
    inner = CountingCredential(ends_at=2**33)
    credential = OperatorCredential(inner)

    await credential.get_token(STORAGE)
    await credential.get_token("https://eventgrid.azure.net/.default")
    await credential.get_token(STORAGE)

    assert inner.scopes == [STORAGE, "https://eventgrid.azure.net/.default"]


async def test_failure_to_log_in_is_one_printable_line() -> None:
    """The rest of what the CLI wrote is left out, and nothing acts on the terminal."""
    inner = CountingCredential(failure=ClientAuthenticationError(message="AADSTS1: \x1b[2J log in\nTrace: 1"))

    with pytest.raises(Failure) as caught:
        await OperatorCredential(inner).get_token(STORAGE)

    assert str(caught.value).endswith("the Azure CLI says: AADSTS1: ?[2J log in")


async def test_login_that_ends_meanwhile_is_told_as_such(azurite_with_oauth: Azurite, trusted: None) -> None:
    """A token that cannot be renewed while a request is made is not taken for a fault of the tables."""
    failing = CountingCredential(failure=ClientAuthenticationError(message="log in again"))
    store = azurite_with_oauth.account_for(OperatorCredential(failing)).open_tables()

    with pytest.raises(Failure, match=r"^the sessions: no token: .* says: log in again$"):
        await show_session(store, Output(as_json=False), str(uuid.uuid4()))
    await store.aclose()
