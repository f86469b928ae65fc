import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

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
from shared.face.transport import make_http_transport
from shared.keys.cache import CachedSecret
from shared.keys.credentials import IdentityCredential, KeyCredential
from shared.keys.identity import ManagedIdentity
from shared.keys.key_vault import KeyVaultSecrets
from shared.keys.secret import Secret, StaticSecret
from tests.shared.keys.conftest import serve
from tests.shared.keys.fake_azure import FACE_RESOURCE, FakeIdentity, FakeVault
from tests.shared.keys.key_doubles import HOUR, MINUTE, FakeKeeper, settle
from tests.support.time import FakeClock

KEY = "CANARY0123456789abcdef0123456789"
KEY_HEADER = "Ocp-Apim-Subscription-Key"
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"
SESSION = "b12e033e-bda7-4b83-a211-e721c661f30e"


def key_credential(keeper: FakeKeeper, clock: FakeClock) -> KeyCredential:
    return KeyCredential(CachedSecret(keeper.read, name="face-key", clock=clock))


async def test_the_key_is_sent_in_the_header_that_face_reads(clock: FakeClock) -> None:
    """The field is `Ocp-Apim-Subscription-Key`, in a mapping that httpx takes as it is."""
    headers = await key_credential(FakeKeeper(KEY), clock).headers()
    assert dict(headers) == {KEY_HEADER: KEY}
    assert httpx.Headers(headers)[KEY_HEADER] == KEY
    assert "Authorization" not in headers


async def test_the_header_mapping_does_not_show_the_key(clock: FakeClock) -> None:
    """Header fields end up in variables: their repr names the field alone."""
    headers = await key_credential(FakeKeeper(KEY), clock).headers()
    assert repr(headers) == "{'Ocp-Apim-Subscription-Key': <secret>}"


async def test_a_refused_key_is_worth_a_replay_where_there_is_a_newer_one(clock: FakeClock) -> None:
    """After a rotation the next headers carry the new key; a second refusal of the old one costs no read."""
    keeper = FakeKeeper("key-1")
    credential = key_credential(keeper, clock)
    refused = await credential.headers()
    keeper.value = "key-2"
    assert await credential.renew(refused)
    assert dict(await credential.headers()) == {KEY_HEADER: "key-2"}
    assert await credential.renew(refused)
    assert keeper.reads == 2


async def test_a_refused_key_without_a_newer_one_is_not_replayed(clock: FakeClock) -> None:
    """The key in the vault is the one that Face refuses: a replay would be refused too."""
    credential = key_credential(FakeKeeper(), clock)
    assert not await credential.renew(await credential.headers())


async def test_a_refused_key_with_the_vault_down_is_not_replayed(clock: FakeClock) -> None:
    """There may be a newer key, but it cannot be had."""
    keeper = FakeKeeper()
    credential = key_credential(keeper, clock)
    refused = await credential.headers()
    keeper.break_down()
    assert not await credential.renew(refused)


async def test_a_key_from_the_settings_is_never_renewed() -> None:
    """On a laptop the key is what the settings say."""
    credential = KeyCredential(StaticSecret(Secret(KEY), name="FACE_KEY"))
    assert not await credential.renew(await credential.headers())


@pytest.fixture
async def token_credential(identity: ManagedIdentity, clock: FakeClock) -> AsyncIterator[IdentityCredential]:
    # The endpoint's tokens end a day after the machine's time.
    clock.now = system_clock()
    credential = IdentityCredential(identity, clock=clock)
    yield credential
    await credential.aclose()


async def test_a_token_of_the_identity_is_sent_as_a_bearer_token(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """The token is for Cognitive Services, and no repr of the header fields shows it."""
    headers = await token_credential.headers()
    scheme, _, token = headers["Authorization"].partition(" ")
    assert (scheme, endpoint.tokens[token]) == ("Bearer", FACE_RESOURCE)
    assert repr(headers) == "{'Authorization': <secret>}"


async def test_a_thousand_requests_make_one_identity_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """The SDK alone would call the endpoint once for each request that finds no token."""
    headers = await asyncio.gather(*[token_credential.headers() for _ in range(1000)])
    assert len({fields["Authorization"] for fields in headers}) == 1
    assert len(endpoint.calls) == 1


async def test_a_token_is_asked_for_again_from_the_sdk_and_not_from_the_endpoint(
    token_credential: IdentityCredential, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """While the SDK holds a good token, an hour of requests makes no further identity call."""
    for _ in range(60):
        await token_credential.headers()
        await settle()
        clock.advance_ms(MINUTE)
    assert len(endpoint.calls) == 1


async def test_a_thousand_refusals_make_one_identity_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """A refused token is asked for anew past the SDK's memory, once for all, and replayed where it changed."""
    refused = await token_credential.headers()
    assert set(await asyncio.gather(*[token_credential.renew(refused) for _ in range(1000)])) == {True}
    assert dict(await token_credential.headers()) != dict(refused)
    assert len(endpoint.calls) == 2


async def test_a_refused_token_that_the_platform_keeps_is_not_replayed(
    token_credential: IdentityCredential, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """The platform answers the same token for hours: that is one look in 30 seconds, and no replay."""
    endpoint.fresh = False
    refused = await token_credential.headers()
    for _ in range(29):
        assert not await token_credential.renew(refused)
        clock.advance_ms(1000)
    assert len(endpoint.calls) == 2


class FakeIssuer:
    """Issues a token for an hour of the fake clock; keeps none, unlike the SDK."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.broken = False

    async def get_token(self, *scopes: str, claims: str | None = None) -> AccessToken:
        if self.broken:
            raise KeyUnavailable("the endpoint is down")
        return AccessToken(f"token-{self.clock.now}", (self.clock.now + HOUR) // 1000)


async def test_a_token_outlives_the_endpoint_until_its_own_end(clock: FakeClock) -> None:
    """With the endpoint down a token is served while it is good, and not beyond."""
    issuer = FakeIssuer(clock)
    credential = IdentityCredential(issuer, clock=clock)
    sent = await credential.headers()
    issuer.broken = True
    clock.advance_ms(HOUR - 1)
    assert dict(await credential.headers()) == dict(sent)
    await settle()
    clock.advance_ms(30_000)
    with pytest.raises(KeyUnavailable, match="the endpoint is down"):
        await credential.headers()


async def test_an_identity_without_a_token_tells_all_who_ask_after_one_call(
    token_credential: IdentityCredential, endpoint: FakeIdentity
) -> None:
    """A storm of requests with no identity assigned is one identity call, and an answer for the operator."""
    endpoint.answer = (400, '{"statusCode":400}')
    failures = await asyncio.gather(
        *[token_credential.headers() for _ in range(1000)], return_exceptions=True
    )
    assert {type(failure) for failure in failures} == {KeyUnavailable}
    assert "assign it" in str(failures[0])
    assert len(endpoint.calls) == 1


class RollingFace:
    """A Face that takes the current keys only, and creates a session for whoever has one.

    `roll` is called once, when the session with the number `roll_at` was created.
    """

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
    async with make_http_transport() as http:
        yield FaceClient(http, f"http://127.0.0.1:{port}", v1_1_preview_1, credential, Budget(100_000))
    await runner.cleanup()


async def create(client: FaceClient, times: int) -> None:
    spec = SessionSpec(LivenessMode.PASSIVE, device_id=REQUEST_ID, token_lifetime=600)
    for _ in range(times):
        await client.create(spec, REQUEST_ID)


async def test_a_key_that_is_rolled_while_requests_run_fails_none_of_them(
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
        for number in (2, 3, 4):
            face.roll, face.roll_at = partial(roll, number), face.created + 40
            await asyncio.gather(*[create(client, 10) for _ in range(16)])
    assert face.created == 3 * 10 * 16
    assert 3 <= face.refused <= 3 * 16
    assert vault.reads == 1 + 3


async def test_two_keys_that_are_rolled_in_turn_are_never_refused(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """With the one key valid until the other is in use everywhere, the soft life alone brings the new one."""
    vault.secrets["face-key"] = "key-1"
    cache = CachedSecret(partial(secrets.read, "face-key"), name="face-key", clock=clock)
    face = RollingFace("key-1", "key-2")
    async with face_client(face, KeyCredential(cache)) as client:
        await create(client, 5)
        vault.secrets["face-key"] = "key-2"
        clock.advance_ms(17 * MINUTE)
        await create(client, 1)
        # Not a forced read: there is another value by then.
        assert (await cache.refresh(Secret("key-1"))).reveal() == "key-2"
        face.keys = {"key-2"}
        await create(client, 5)
    assert (face.created, face.refused, vault.reads) == (11, 0, 2)


async def test_a_key_that_face_refuses_for_good_is_unauthorized_and_no_storm(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """With the wrong key in the vault every call fails, and the vault is called twice in 30 seconds."""
    vault.secrets["face-key"] = "wrong"
    cache = CachedSecret(partial(secrets.read, "face-key"), name="face-key", clock=clock)
    async with face_client(RollingFace("right"), KeyCredential(cache)) as client:
        for _ in range(29):
            outcomes = await asyncio.gather(*[create(client, 1) for _ in range(5)], return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UpstreamUnauthorized}
            clock.advance_ms(1000)
    assert vault.reads == 2
