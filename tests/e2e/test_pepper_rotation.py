"""A phone whose session began before the pepper was rotated notices nothing, over HTTP; the secret is in a vault."""

import asyncio

import pytest

import shared.azure_transport  # noqa: F401 - it names `Connections`, which the test replaces.
from shared.http import Connections
from tests.e2e.signed_in import Scene, signed_in
from tests.shared.keys import conftest as azure
from tests.shared.keys.fake_azure import FakeVault

authority, names, endpoint = azure.authority, azure.names, azure.endpoint
connections, vault = azure.connections, azure.vault

KEY = {"Idempotency-Key": "the-key-of-a-phone"}
SOON_SECONDS = 17 * 60
"""When an instance with requests reads a secret again: after 15 minutes, and a tenth more at most."""


async def store(scene: Scene, vault: FakeVault, pepper: str) -> None:
    """Store a value, and wait until the app has read the secret again after its next request."""
    vault.secrets["id-pepper"] = pepper
    scene.broker.clock.advance_seconds(SOON_SECONDS)
    await scene.broker.app.pseudonyms.peppers()
    await asyncio.gather(*[task for task in asyncio.all_tasks() if task.get_name() == "read id-pepper"])


async def test_phone_goes_on_while_the_pepper_is_rotated(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    connections: Connections,
    vault: FakeVault,
) -> None:
    """Its session, its idempotency key and its limit stay what they were, also after somebody stored half a value."""
    monkeypatch.setattr("shared.http.Connections", lambda: connections)
    vault.secrets["id-pepper"] = "old"
    async with signed_in(KEY_VAULT_URL=vault.url, THROTTLE_DEVICE="2/d", THROTTLE_MISSES="off") as scene:
        anna, bert = (
            scene.issuer.token(sub=name, exp=scene.broker.clock() // 1000 + 86_400)
            for name in ("anna", "bert")
        )
        hour = {"authTokenTimeToLiveInSeconds": 7_200}
        session = await scene.created(anna, hour, **KEY)

        for pepper in ("old,new", "old,", "new,old"):
            await store(scene, vault, pepper)
            assert await scene.created(anna, hour, **KEY) == session
            assert (await scene.of(session, "GET", bert)).status_code == 404
            assert (await scene.of(session, "GET", anna)).json()["status"] == "NotStarted"
        second = await scene.create(anna)
        third = await scene.create(anna)

        assert (second.headers["RateLimit"].split(";")[:2], third.status_code) == (
            ['"device-1d"', "r=0"],
            429,
        )
        assert third.headers["RateLimit-Policy"] == '"device-1d";q=2;w=86400'
        told = await scene.broker.perform(session)
        scene.broker.clock.advance_seconds(1)
        result = await scene.of(session, "GET", anna, **{"X-Client-Digest": told["digest"]})
        assert result.json()["passed"] is True
    assert [
        line for line in caplog.messages if "secret_read_failed" in line and "several different ones" in line
    ]
    assert not [line for line in caplog.messages if "mac_mismatch" in line]
