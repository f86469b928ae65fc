"""Reads of a secret through the SDK, from a vault on loopback, and what each failure tells the operator."""

import re

import pytest

from shared.errors import KeyUnavailable
from shared.keys.key_vault import KeyVaultSecrets
from tests.shared.keys.conftest import Names
from tests.shared.keys.fake_azure import FakeIdentity, FakeVault, key_vault_error

NAME = "face-key"
KEY = "CANARY0123456789abcdef0123456789"


async def detail(secrets: KeyVaultSecrets) -> str:
    """What the operator reads when the secret cannot be read."""
    with pytest.raises(KeyUnavailable) as unavailable:
        await secrets.read(NAME)
    return unavailable.value.detail


def where(vault: FakeVault) -> str:
    """How each of these texts ends."""
    return f"; secret {NAME}, vault host {vault.host}"


async def test_reads_share_challenge_and_token_and_see_the_current_version(
    secrets: KeyVaultSecrets, vault: FakeVault, endpoint: FakeIdentity
) -> None:
    """The challenge names the resource of the token. Each further read is one call of the vault alone."""
    vault.secrets |= {NAME: KEY, "id-pepper": "pepper"}
    read = [(await secrets.read(NAME)).reveal()]
    vault.secrets[NAME] = "rolled"
    read += [(await secrets.read(name)).reveal() for name in (NAME, "id-pepper")]

    assert read == [KEY, "rolled", "pepper"]
    assert (vault.reads, vault.challenges) == (3, 1)
    assert endpoint.calls == [{"api-version": "2019-08-01", "resource": "https://vault.azure.net"}]


GRANT = ": the app's identity needs the role Key Vault Secrets User on the vault"
NETWORK = ": the vault's network rules keep the app out: let its subnet in"
DISABLED = ": the secret is disabled: enable its current version"
MISSING = ": there is no such secret: create it, or correct its name in the settings"
TENANT = ": it does not accept the identity's token: both have to be in one tenant"


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ("302", ""),
        ("401", TENANT),
        ("403", GRANT),
        ("403 ForbiddenByRbac", GRANT),
        ("403 AccessDenied", GRANT),
        ("403 ForbiddenByFirewall", NETWORK),
        ("403 ForbiddenByConnection", NETWORK),
        ("403 SecretDisabled", DISABLED),
        ("404", MISSING),
        ("429", ": it throttles the app"),
        ("500", ""),
        ("503", ""),
    ],
)
async def test_an_error_of_the_vault_says_what_to_do(
    secrets: KeyVaultSecrets, vault: FakeVault, answer: str, advice: str
) -> None:
    """Status and inner code come first. No `Retry-After` is waited out, no redirect followed, no 401 repeated."""
    status, _, inner = answer.partition(" ")
    vault.trouble = key_vault_error(int(status), "Code", inner)
    vault.trouble.headers.update({"Retry-After": "3600", "Location": "https://elsewhere.vault.azure.net/"})
    with pytest.raises(KeyUnavailable) as unavailable:
        await secrets.read(NAME)
    assert unavailable.value.detail == f"Key Vault answered {answer}{advice}{where(vault)}"
    assert (vault.reads, unavailable.value.retry_after) == (1, 60)


@pytest.mark.parametrize(
    "raw", [b"", b'{"value": "CANARY', b"[]", b'{"value": null}', b"{}", b'{"value": "CANARY\\n"}']
)
async def test_an_answer_without_a_usable_secret_is_a_failure(
    secrets: KeyVaultSecrets, vault: FakeVault, raw: bytes
) -> None:
    vault.raw = raw
    assert re.search(
        "answered 200|is empty|line break at its end|did not answer usably", await detail(secrets)
    )


@pytest.mark.parametrize(
    ("way", "cause", "tries"),
    [
        ("down", "ClientConnectorError", 0),
        ("no address", "ClientConnectorDNSError", 0),
        ("hangs up", "ConnectionBroken", 2),
    ],
)
async def test_a_vault_that_does_not_answer_is_named(
    secrets: KeyVaultSecrets, vault: FakeVault, names: Names, way: str, cause: str, tries: int
) -> None:
    """A failed connection is tried twice."""
    if way == "down":
        names[vault.host] = 9  # Nobody listens there.
    if way == "no address":
        names.clear()
    vault.hang_up = way == "hangs up"
    assert await detail(secrets) == f"Key Vault did not answer usably: {cause}{where(vault)}"
    assert vault.hung_up == tries


async def test_a_challenge_for_another_domain_gets_no_token(
    secrets: KeyVaultSecrets, vault: FakeVault, endpoint: FakeIdentity
) -> None:
    """A host that asks for another service's token is not a vault."""
    vault.resource = "https://example.com"
    assert await detail(secrets) == f"Key Vault did not answer usably: ValueError{where(vault)}"
    assert endpoint.calls == []
