"""The header field that authenticates a call to Face, and its renewal after a 401."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest

from shared.errors import Unauthorized
from shared.face import v1_1_preview_1
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import LivenessMode, SessionSpec
from shared.http import Connections
from shared.http_port import HttpAnswer
from shared.keys.cache import CachedSecret
from shared.keys.credentials import face_tokens, key_credential, token_credential
from shared.keys.identity import ManagedIdentity
from shared.keys.key_vault import KeyVaultSecrets
from shared.keys.secret import Secret, StaticSecret
from shared.text import system_clock
from tests.e2e.signed_in import signed_in
from tests.shared.keys.fake_azure import FACE_RESOURCE, FACE_SCOPE, FakeIdentity, FakeVault
from tests.shared.keys.fake_secret import MINUTE, settle
from tests.support.broker import PEPPER, running_broker
from tests.support.http import answer_of
from tests.support.time import FakeClock

KEY = "CANARY0123456789abcdef0123456789"
KEY_HEADER = "Ocp-Apim-Subscription-Key"
REQUEST_ID = "723d6d03-ef33-40a8-9682-23a1feb7bccd"


def test_key_and_token_have_their_header_fields_and_are_not_shown() -> None:
    source = StaticSecret(Secret(KEY))
    key, token = key_credential(source), token_credential(source)
    assert (key.name, key.prefix) == (KEY_HEADER, "")
    assert (token.name, token.prefix) == ("Authorization", "Bearer ")
    assert KEY not in repr((key, token))


@pytest.fixture
async def tokens(identity: ManagedIdentity, clock: FakeClock) -> AsyncIterator[CachedSecret]:
    # The endpoint's tokens end a day after the machine's time.
    clock.now = system_clock()
    async with aclosing(face_tokens(identity, clock, FACE_SCOPE)) as cache:
        yield cache


async def test_an_hour_of_requests_makes_one_identity_call(
    tokens: CachedSecret, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """A thousand at once share a token for Cognitive Services, and later the SDK answers from its own cache."""
    found = await asyncio.gather(*[tokens.get() for _ in range(1000)])
    for _ in range(60):
        await tokens.get()
        await settle()
        clock.advance_ms(MINUTE)
    [token] = {secret.reveal() for secret in found}
    assert (endpoint.tokens[token], len(endpoint.calls)) == (FACE_RESOURCE, 1)


async def test_a_thousand_refusals_make_one_identity_call(
    tokens: CachedSecret, endpoint: FakeIdentity
) -> None:
    """A refused token is asked for past the SDK's cache, once for all."""
    refused = await tokens.get()
    newer = await asyncio.gather(*[tokens.refresh(refused) for _ in range(1000)])
    assert {secret.reveal() for secret in newer} == {(await tokens.get()).reveal()}
    assert newer[0] != refused
    assert len(endpoint.calls) == 2


class RollingFace:
    """A Face that accepts the current keys only. `roll` is called after the session number `roll_at`."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.roll: Callable[[], None] | None = None
        self.roll_at = 0
        self.created = 0
        self.refused = 0

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        await asyncio.sleep(0)
        if headers.get(KEY_HEADER) not in self.keys:
            self.refused += 1
            return answer_of(401, {"error": {"code": "401", "message": "Access denied"}})
        self.created += 1
        if self.roll and self.created == self.roll_at:
            self.roll()
        return answer_of(200, {"sessionId": REQUEST_ID, "authToken": "a-token"})


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

    credential, budget = key_credential(cache), Budget(100_000)
    client = FaceClient(face, "http://127.0.0.1:1", v1_1_preview_1.VERSION, credential, budget)
    for number in (2, 3):
        face.roll, face.roll_at = partial(roll, number), face.created + 20
        await asyncio.gather(*[create(client, 5) for _ in range(16)])
    assert face.created == 2 * 5 * 16
    assert 2 <= face.refused <= 2 * 16
    assert vault.reads == 1 + 2


async def test_app_looks_for_a_newer_key_every_30_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, connections: Connections, vault: FakeVault, clock: FakeClock
) -> None:
    monkeypatch.setattr("shared.http.Connections", lambda: connections)
    vault.secrets = {"face-key": "an-old-key", "id-pepper": PEPPER}
    settings: dict[str, Any] = {"FACE_KEY": "", "KEY_VAULT_URL": vault.url}
    async with running_broker(clock=clock, **settings) as broker:
        reads = []
        for number in range(31):
            answer = await broker.create(f"device-{number}")
            assert answer.json()["error"]["code"] == "UpstreamUnauthorized", answer.text
            reads.append(vault.reads)
            clock.advance_seconds(1)

    assert reads == [3] * 30 + [4]


async def test_forged_token_of_one_address_leaves_a_look_for_another(
    monkeypatch: pytest.MonkeyPatch, connections: Connections, vault: FakeVault, clock: FakeClock
) -> None:
    """Else it would hide the new secret of a backend for 30 seconds from everybody."""
    monkeypatch.setattr("shared.http.Connections", lambda: connections)
    vault.secrets = {"backend-key": "a-secret-of-a-backend-for-the-tests"}
    backend = {"AUTH_SECRET_NAME": "backend-key", "KEY_VAULT_URL": vault.url}
    async with signed_in(**backend) as scene:
        sign_in, claims = scene.broker.app.sign_in, scene.issuer.claims(iss="backend-key")
        assert sign_in is not None
        new = "a-new-secret-of-a-backend-for-the-tests"
        forged, good = [scene.issuer.signed(claims, key=key, algorithm="HS256") for key in ("x" * 32, new)]
        with pytest.raises(Unauthorized):
            await sign_in.caller(f"Bearer {forged}", "192.0.2.66")
        vault.secrets["backend-key"] = new

        assert (await sign_in.caller(f"Bearer {good}", "192.0.2.1")).principal == "backend-key anna"
