"""The check of Event Grid's token that docs/events.md prints."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from tests.support.consumer import printed
from tests.support.issuer import FakeIssuer, private_key, running_issuer
from tests.support.time import FakeClock


class Webhook:
    """The printed check, with the keys of a fake of Microsoft Entra ID."""

    def __init__(self, entra: FakeIssuer) -> None:
        self.entra = entra
        self.names = printed()
        self.names["KEYS"] = jwt.PyJWKClient(f"{entra.url}/keys")
        self.claims: dict[str, Any] = {
            "aud": self.names["AUDIENCE"],
            "iss": f"https://sts.windows.net/{self.names['TENANT']}/",
            "exp": 2**40,
            "appid": self.names["EVENT_GRID"],
            "roles": ["AzureEventGridSecureWebhookSubscriber"],
        }

    async def accepts(self, authorization: str | None) -> bool:
        """What the check says of a header Authorization."""
        return bool(await asyncio.to_thread(self.names["is_from_event_grid"], authorization))


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    async with running_issuer(FakeClock()) as entra:
        yield Webhook(entra)


def bearer(claims: dict[str, Any], key: str = "key-1") -> str:
    """A header with a token that the key signed, under the id of the published one."""
    return "Bearer " + jwt.encode(claims, private_key(key), "RS256", headers={"kid": "key-1"})


@pytest.mark.parametrize("version", ["1.0", "2.0"])
async def test_token_of_event_grid_is_accepted(webhook: Webhook, version: str) -> None:
    """Tokens of both versions of Microsoft Entra ID."""
    claims = webhook.claims
    if version == "2.0":
        claims["iss"] = f"https://login.microsoftonline.com/{webhook.names['TENANT']}/v2.0"
        claims["azp"] = claims.pop("appid")

    assert await webhook.accepts(bearer(claims)) is True


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "api://another"},
        {"iss": "https://sts.windows.net/another/"},
        {"exp": 1},
        {"appid": "another"},
        {"roles": []},
        {"roles": None},
        {"exp": None},
    ],
    ids=str,
)
async def test_other_tokens_are_refused(webhook: Webhook, changes: dict[str, Any]) -> None:
    claims = {name: value for name, value in (webhook.claims | changes).items() if value is not None}

    assert await webhook.accepts(bearer(claims)) is False


async def test_made_up_event_has_no_token(webhook: Webhook) -> None:
    """Nor one that its sender signed."""
    forged = [None, "", "Bearer ", "Bearer a.b.c", bearer(webhook.claims, "an-impostor's")]

    assert [await webhook.accepts(one) for one in forged] == [False] * 5


async def test_unreachable_keys_are_told_from_a_wrong_token(webhook: Webhook) -> None:
    """The caller answers 503: Event Grid does not send again after a 401."""
    await webhook.entra.stop()

    with pytest.raises(jwt.PyJWKClientConnectionError):
        await webhook.accepts(bearer(webhook.claims))
