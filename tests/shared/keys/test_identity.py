"""Tokens of the managed identity through the SDK, from an endpoint on loopback."""

import asyncio

import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from shared.errors import KeyUnavailable
from shared.keys.identity import ManagedIdentity, open_identity
from tests.shared.keys.fake_azure import FakeIdentity
from tests.shared.keys.fake_secret import settle
from tests.support.azurite import StubCredential

SCOPE = "https://storage.azure.com/.default"
NAMED = "the managed identity endpoint answered"
MISSING = (
    f"{NAMED} 400: the identity is missing or not assigned to the app: "
    "assign it, and compare the configured client id"
)


async def detail(identity: ManagedIdentity) -> str:
    """What the operator reads when there is no token."""
    with pytest.raises(KeyUnavailable) as unavailable:
        await identity.get_token(SCOPE)
    # The text of the SDK's own error quotes whole bodies.
    assert unavailable.value.__cause__ is None
    return unavailable.value.detail


async def test_the_configured_identity_is_asked_for(endpoint: FakeIdentity) -> None:
    """A user-assigned identity is named by its client id, and one that nobody assigned is reported."""
    endpoint.client_ids = frozenset({"the-client-id"})
    async with open_identity("the-client-id") as identity:
        assert (await identity.get_token(SCOPE)).token in endpoint.tokens
    async with open_identity("another-client-id") as identity:
        assert await detail(identity) == MISSING
    assert [call["client_id"] for call in endpoint.calls] == ["the-client-id", "another-client-id"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, '{"statusCode":400,"message":"No MSI found"}', MISSING),
        (403, '{"statusCode":403}', MISSING.replace("400", "403")),
        (401, '{"statusCode":401}', f"{NAMED} 401: it does not accept the app's own header"),
        (404, '{"statusCode":404}', f"{NAMED} 404: the identity is not there, or not yet"),
        (408, '{"statusCode":408}', f"{NAMED} 408: it was too slow"),
        (409, '{"statusCode":409}', f"{NAMED} 409"),
        (429, '{"statusCode":429}', f"{NAMED} 429: it throttles the app"),
        (500, '{"statusCode":500}', f"{NAMED} 500"),
        (503, "<html>", f"{NAMED} 503"),
        (200, "{", f"{NAMED} 200 without a token"),
        (200, '{"access_token":"CANARY","expires_on":"4102444800"}', f"{NAMED} 200 without a token"),
        (
            200,
            '{"access_token":"CANARY","expires_on":"soon","resource":"r"}',
            "the managed identity endpoint did not answer usably: ValueError",
        ),
    ],
)
async def test_an_endpoint_without_a_token_is_explained(
    identity: ManagedIdentity, endpoint: FakeIdentity, status: int, body: str, told: str
) -> None:
    """The detail names the endpoint, and quotes nothing."""
    endpoint.answer = (status, body)
    assert (await detail(identity)).startswith(told)


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"), [(429, "20", 20.0), (503, "20", 20.0), (503, "", 1.0)]
)
async def test_a_busy_endpoint_says_when_to_come_back(
    identity: ManagedIdentity, endpoint: FakeIdentity, status: int, retry_after: str, seconds: float
) -> None:
    endpoint.answer, endpoint.retry_after = (status, "{}"), retry_after
    with pytest.raises(KeyUnavailable) as unavailable:
        await identity.get_token(SCOPE)
    assert unavailable.value.retry_after == seconds


async def test_an_endpoint_that_is_down_is_named(
    endpoint: FakeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    async with open_identity() as identity:
        told = await detail(identity)
    assert told == "the managed identity endpoint did not answer usably: ClientConnectorError"


async def test_an_app_without_any_identity_is_told_to_assign_one() -> None:
    """The platform then sets no endpoint, and the SDK finds nobody to ask."""

    class Nobody(StubCredential):
        async def get_token(self, *_: str, **__: object) -> AccessToken:
            raise CredentialUnavailableError("no endpoint")

    told = await detail(ManagedIdentity(Nobody()))
    assert told == MISSING.replace(f"{NAMED} 400", "there is no managed identity endpoint")


async def test_each_scope_has_one_request_of_its_own(
    endpoint: FakeIdentity, identity: ManagedIdentity
) -> None:
    vault = "https://vault.azure.net/.default"
    await asyncio.gather(*(identity.get_token(scope) for scope in (SCOPE, vault, SCOPE, vault)))
    resources = sorted(call["resource"] for call in endpoint.calls)
    assert resources == ["https://storage.azure.com", "https://vault.azure.net"]


async def test_a_refusal_reaches_all_callers_and_is_not_remembered(
    endpoint: FakeIdentity, identity: ManagedIdentity
) -> None:
    """The identity may be assigned a moment later."""
    endpoint.answer = (400, "{}")
    assert set(await asyncio.gather(detail(identity), detail(identity))) == {MISSING}
    assert len(endpoint.calls) == 1
    endpoint.answer = None
    assert (await identity.get_token(SCOPE)).token in endpoint.tokens


async def test_a_running_request_ends_with_the_identity(endpoint: FakeIdentity) -> None:
    """No task is left when the app has ended, and a caller that still waits is told."""
    endpoint.open.clear()
    async with open_identity() as identity:
        waiting = asyncio.create_task(detail(identity))
        await settle()
    endpoint.open.set()
    assert await waiting == "the request for a token was broken off"
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "fetch a token"]
