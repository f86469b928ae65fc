"""The header field that authenticates a call to Face, and its renewal after a 401."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from aiohttp import web
from azure.core.credentials import AccessToken

from shared.clock import system_clock
from shared.errors import KeyUnavailable, UpstreamUnauthorized
from shared.face import v1_1_preview_1
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import FaceCredential, LivenessMode, SessionSpec
from shared.keys.cache import CachedSecret
from shared.keys.credentials import IdentityCredential, KeyCredential
from shared.keys.identity import ManagedIdentity
from shared.keys.key_vault import KeyVaultSecrets
from shared.keys.secret import Secret, StaticSecret
from tests.shared.keys.conftest import serve
from tests.shared.keys.fake_azure import FACE_RESOURCE, FakeIdentity, FakeVault
from tests.shared.keys.fake_secret import HOUR, MINUTE, FakeSecret, settle
from tests.support.http import OwnTransport
from tests.support.time import FakeClock

KEY = "CANARY0123456789abcdef0123456789"
KEY_HEADER = "Ocp-Apim-Subscription-Key"
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"
SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"


def key_credential(secret: FakeSecret, clock: FakeClock) -> KeyCredential:
    return KeyCredential(CachedSecret(secret.read, name="face-key", clock=clock))


async def test_the_key_is_sent_in_its_header_and_not_shown(clock: FakeClock) -> None:
    """Httpx takes the mapping as it is, and its repr names the field alone."""
    headers = await key_credential(FakeSecret(KEY), clock).headers()
    assert dict(headers) == {KEY_HEADER: KEY}
    assert httpx.Headers(headers)[KEY_HEADER] == KEY
    assert "Authorization" not in headers
    assert repr(headers) == "{'Ocp-Apim-Subscription-Key': <secret>}"


async def test_a_refused_key_is_replayed_if_there_is_a_newer_one(clock: FakeClock) -> None:
    """After a rotation the next headers carry the new key; a second refusal of the old one costs no read."""
    secret = FakeSecret("key-1")
    credential = key_credential(secret, clock)
    refused = await credential.headers()
    secret.value = "key-2"
    assert await credential.renew(refused)
    assert dict(await credential.headers()) == {KEY_HEADER: "key-2"}
    assert await credential.renew(refused)
    assert secret.count() == 2


@pytest.mark.parametrize("vault", ["the same key", "down", "settings"])
async def test_a_refused_key_is_not_replayed_without_a_newer_one(clock: FakeClock, vault: str) -> None:
    """The vault has the same key, or does not answer, or the key is in the settings."""
    secret = FakeSecret()
    credential = key_credential(secret, clock)
    if vault == "settings":
        credential = KeyCredential(StaticSecret(Secret(KEY), name="FACE_KEY"))
    refused = await credential.headers()
    if vault == "down":
        secret.break_down()
    assert not await credential.renew(refused)


@pytest.fixture
async def token_credential(identity: ManagedIdentity, clock: FakeClock) -> AsyncIterator[IdentityCredential]:
    # The endpoint's tokens end a day after the machine's time.
    clock.now = system_clock()
    credential = IdentityCredential(identity, clock=clock)
    yield credential
    await credential.aclose()


async def test_a_token_is_sent_as_a_bearer_token_and_not_shown(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """The token is for Cognitive Services."""
    headers = await token_credential.headers()
    scheme, _, token = headers["Authorization"].partition(" ")
    assert (scheme, endpoint.tokens[token]) == ("Bearer", FACE_RESOURCE)
    assert repr(headers) == "{'Authorization': <secret>}"


async def test_an_hour_of_requests_makes_one_identity_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """A thousand at once share it, and later the SDK answers from its own cache."""
    headers = await asyncio.gather(*[token_credential.headers() for _ in range(1000)])
    for _ in range(60):
        await token_credential.headers()
        await settle()
        clock.advance_ms(MINUTE)
    assert len({fields["Authorization"] for fields in headers}) == 1
    assert len(endpoint.calls) == 1


async def test_a_thousand_refusals_make_one_identity_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """A refused token is asked for past the SDK's cache, once for all, and replayed if it changed."""
    refused = await token_credential.headers()
    assert set(await asyncio.gather(*[token_credential.renew(refused) for _ in range(1000)])) == {True}
    assert dict(await token_credential.headers()) != dict(refused)
    assert len(endpoint.calls) == 2


async def test_a_refused_token_that_the_platform_keeps_is_not_replayed(
    token_credential: IdentityCredential, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """The platform answers the same token for hours: it is asked once in 30 seconds."""
    endpoint.fresh = False
    refused = await token_credential.headers()
    for _ in range(29):
        assert not await token_credential.renew(refused)
        clock.advance_ms(1000)
    assert len(endpoint.calls) == 2


async def test_an_identity_without_a_token_fails_all_after_one_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """The error tells the operator what to do."""
    endpoint.answer = (400, '{"statusCode":400}')
    failures = await asyncio.gather(
        *[token_credential.headers() for _ in range(1000)], return_exceptions=True
    )
    assert {type(failure) for failure in failures} == {KeyUnavailable}
    assert "assign it" in str(failures[0])
    assert len(endpoint.calls) == 1


class HourlyCredential:
    """An SDK credential whose tokens last an hour of the fake clock; it caches none."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.broken = False

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's signature.
        if self.broken:
            raise KeyUnavailable("the endpoint is down")
        return AccessToken(f"token-{self.clock.now}", (self.clock.now + HOUR) // 1000)

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    async def __aenter__(self) -> "HourlyCredential":
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Do nothing: nothing is open."""


async def test_a_token_is_served_until_its_end_while_the_endpoint_is_down(clock: FakeClock) -> None:
    """And not beyond."""
    sdk = HourlyCredential(clock)
    credential = IdentityCredential(ManagedIdentity(sdk, deadline=3.0, patience=15.0), clock=clock)
    sent = await credential.headers()
    sdk.broken = True
    clock.advance_ms(HOUR - 1)
    assert dict(await credential.headers()) == dict(sent)
    await settle()
    clock.advance_ms(30_000)
    with pytest.raises(KeyUnavailable, match="the endpoint is down"):
        await credential.headers()
    await credential.aclose()


class RollingFace:
    """A Face that accepts the current keys only. `roll` is called after the session number `roll_at`."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.roll: Callable[[], None] | None = None
        self.roll_at = 0
        self.created = 0
        self.refused = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._create)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        if request.headers.get(KEY_HEADER) not in self.keys:
            self.refused += 1
            return web.json_response({"error": {"code": "401", "message": "Access denied"}}, status=401)
        self.created += 1
        if self.roll and self.created == self.roll_at:
            self.roll()
        return web.json_response({"sessionId": SESSION, "authToken": "a-token"})


@asynccontextmanager
async def face_client(face: RollingFace, credential: FaceCredential) -> AsyncIterator[FaceClient]:
    runner, port = await serve(face.app())
    async with OwnTransport() as http:
        yield FaceClient(
            http, f"http://127.0.0.1:{port}", v1_1_preview_1.VERSION, credential, Budget(100_000)
        )
    await runner.cleanup()


async def create(client: FaceClient, times: int) -> None:
    spec = SessionSpec(LivenessMode.PASSIVE, device_id=REQUEST_ID, token_lifetime=600)
    for _ in range(times):
        await client.create(spec, REQUEST_ID)


async def test_a_rotation_while_requests_run_fails_none(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """The vault gets the new key and the old one is revoked at once: each request that it hits is replayed."""
    vault.secrets["face-key"] = "key-1"
    cache = CachedSecret(partial(secrets.read, "face-key"), name="face-key", clock=clock)
    face = RollingFace("key-1")

    def roll(number: int) -> None:
        vault.secrets["face-key"] = f"key-{number}"
        face.keys = {f"key-{number}"}
        clock.advance_ms(30_000)

    async with face_client(face, KeyCredential(cache)) as client:
        for number in (2, 3):
            face.roll, face.roll_at = partial(roll, number), face.created + 20
            await asyncio.gather(*[create(client, 5) for _ in range(16)])
    assert face.created == 2 * 5 * 16
    assert 2 <= face.refused <= 2 * 16
    assert vault.reads == 1 + 2


async def test_a_key_that_face_refuses_for_good_costs_two_vault_calls(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """With the wrong key in the vault every call fails, and 30 seconds cost two vault calls."""
    vault.secrets["face-key"] = "wrong"
    cache = CachedSecret(partial(secrets.read, "face-key"), name="face-key", clock=clock)
    async with face_client(RollingFace("right"), KeyCredential(cache)) as client:
        for _ in range(29):
            outcomes = await asyncio.gather(*[create(client, 1) for _ in range(5)], return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UpstreamUnauthorized}
            clock.advance_ms(1000)
    assert vault.reads == 2
