import asyncio
import ssl
from functools import partial

import aiohttp.connector
import pytest
import trustme
from aiohttp import web

from shared.errors import KeyUnavailable
from shared.keys.cache import CachedSecret
from shared.keys.identity import ManagedIdentity, open_identity
from shared.keys.key_vault import KeyVaultSecrets, open_key_vault
from tests.shared.keys.conftest import Names, Served
from tests.shared.keys.fake_azure import FakeIdentity, FakeVault, key_vault_error
from tests.shared.keys.key_doubles import HOUR, settle
from tests.support.time import FakeClock

NAME = "face-key"
KEY = "CANARY0123456789abcdef0123456789"


async def detail(secrets: KeyVaultSecrets) -> str:
    """What the operator is told when the secret cannot be read."""
    with pytest.raises(KeyUnavailable) as unavailable:
        await secrets.read(NAME)
    return unavailable.value.detail


async def test_a_secret_is_read_with_the_managed_identity(
    secrets: KeyVaultSecrets, vault: FakeVault, endpoint: FakeIdentity
) -> None:
    """The vault's challenge names the resource, the identity endpoint gives a token for it, the vault the value."""
    vault.secrets[NAME] = KEY
    assert (await secrets.read(NAME)).reveal() == KEY
    assert endpoint.calls == [{"api-version": "2019-08-01", "resource": "https://vault.azure.net"}]


async def test_later_reads_reuse_challenge_and_token_and_see_the_current_version(
    secrets: KeyVaultSecrets, vault: FakeVault, endpoint: FakeIdentity
) -> None:
    """One client and one credential: each further read is one call of the vault, and none of the identity."""
    vault.secrets |= {NAME: KEY, "id-pepper": "pepper"}
    await secrets.read(NAME)
    vault.secrets[NAME] = "rolled"
    assert (await secrets.read(NAME)).reveal() == "rolled"
    assert (await secrets.read("id-pepper")).reveal() == "pepper"
    assert (vault.reads, vault.challenges, len(endpoint.calls)) == (3, 1, 1)


async def test_a_thousand_requests_on_a_cold_start_make_one_vault_call(
    secrets: KeyVaultSecrets, vault: FakeVault, endpoint: FakeIdentity, clock: FakeClock
) -> None:
    """The vault and the identity endpoint are called once, whoever waits."""
    vault.secrets[NAME] = KEY
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    values = await asyncio.gather(*[cache.get() for _ in range(1000)])
    assert {value.reveal() for value in values} == {KEY}
    assert (vault.reads, len(endpoint.calls)) == (1, 1)


async def test_a_vault_that_fails_is_outlived_for_a_day(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """After 23 hours without the vault the key is still served; after 25 there is none."""
    vault.secrets[NAME] = KEY
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    await cache.get()
    vault.trouble = web.Response(status=503)
    clock.advance_ms(23 * HOUR)
    assert (await cache.get()).reveal() == KEY
    clock.advance_ms(2 * HOUR)
    with pytest.raises(KeyUnavailable) as unavailable:
        await cache.get()
    assert unavailable.value.retry_after == 5.0
    assert unavailable.value.detail.startswith("Key Vault answered 503: try again later; secret face-key; ")
    await cache.aclose()


async def test_a_storm_of_refusals_makes_two_vault_calls(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """A key that Face refuses, with no newer one in the vault, costs two vault calls in 30 seconds."""
    vault.secrets[NAME] = KEY
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    for _ in range(29):
        refused = await cache.get()
        await asyncio.gather(*[cache.refresh(refused) for _ in range(30)])
        clock.advance_ms(1000)
    assert vault.reads == 2


async def test_a_cancelled_request_does_not_end_the_vault_call_of_the_others(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock
) -> None:
    """The phone that came first hangs up while the vault is thinking: the second still gets the key, from one call."""
    vault.secrets[NAME] = KEY
    vault.open.clear()
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    first, second = asyncio.create_task(cache.get()), asyncio.create_task(cache.get())
    await vault.asked.wait()
    first.cancel()
    await settle()
    vault.open.set()
    assert (await second).reveal() == KEY
    assert vault.reads == 1


GRANT = "the app's identity needs the role Key Vault Secrets User on the vault; secret face-key; vault host {host}"
NETWORK = "the vault's network rules keep the app out: let its subnet in; secret face-key; vault host {host}"


@pytest.mark.parametrize(
    ("status", "code", "inner", "told"),
    [
        pytest.param(403, "Forbidden", "ForbiddenByRbac", GRANT, id="no-role"),
        pytest.param(403, "Forbidden", "AccessDenied", GRANT, id="no-access-policy"),
        pytest.param(403, "Forbidden", "", GRANT, id="forbidden-without-a-reason"),
        pytest.param(403, "Forbidden", "ForbiddenByFirewall", NETWORK, id="firewall"),
        pytest.param(403, "Forbidden", "ForbiddenByConnection", NETWORK, id="no-public-access"),
        pytest.param(
            403,
            "Forbidden",
            "SecretDisabled",
            "secret face-key is disabled: enable its current version; vault host {host}",
            id="disabled",
        ),
        pytest.param(
            404,
            "SecretNotFound",
            "",
            "there is no secret face-key: create it, or correct its name in the settings; vault host {host}",
            id="missing",
        ),
        pytest.param(
            429,
            "Throttled",
            "",
            "the vault throttles the app; secret face-key; vault host {host}",
            id="throttled",
        ),
        pytest.param(
            500, "InternalError", "", "try again later; secret face-key; vault host {host}", id="server-error"
        ),
    ],
)
async def test_an_error_of_the_vault_tells_the_operator_what_to_do(
    secrets: KeyVaultSecrets, served: Served, status: int, code: str, inner: str, told: str
) -> None:
    """The status and the vault's reason come first, then what to grant, create or enable, and where."""
    served.vault.trouble = key_vault_error(status, code, inner)
    head = f"Key Vault answered {status} {inner}".rstrip()
    assert await detail(secrets) == f"{head}: {told.format(host=served.host)}"


@pytest.mark.parametrize("wait", [{}, {"Retry-After": "3600"}], ids=["without a wait", "with a wait"])
@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_a_refusal_is_told_at_once(
    secrets: KeyVaultSecrets, vault: FakeVault, status: int, wait: dict[str, str]
) -> None:
    """However long the vault asks to be left alone: the operator reads why, and no caller is held up for it."""
    vault.trouble = web.Response(status=status, headers=wait)
    assert (await detail(secrets)).startswith(f"Key Vault answered {status}: ")
    assert vault.reads == 1


async def test_a_secret_that_is_not_there_is_named(secrets: KeyVaultSecrets, served: Served) -> None:
    """The vault's own 404 leads to the name in the settings."""
    assert await detail(secrets) == (
        "Key Vault answered 404: there is no secret face-key: create it, or correct its name in the settings; "
        f"vault host {served.host}"
    )


async def test_a_token_that_the_vault_does_not_accept_is_explained(
    secrets: KeyVaultSecrets, served: Served
) -> None:
    """A second 401 is not answered with a third call; the reason is another tenant."""
    served.vault.identity = FakeIdentity()
    assert await detail(secrets) == (
        "Key Vault answered 401: the vault does not accept the identity's token: both have to be in one tenant; "
        f"vault host {served.host}"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("@Microsoft.KeyVault(SecretUri=https://kv/x)", "did not resolve", id="reference"),
        pytest.param(f"{KEY}\n", "printable ASCII", id="line-break"),
    ],
)
async def test_a_value_that_no_header_can_carry_is_refused(
    secrets: KeyVaultSecrets, vault: FakeVault, value: str, told: str
) -> None:
    """What would only fail later, in a request to Face, is told where the operator can mend it."""
    vault.secrets[NAME] = value
    told_in_full = await detail(secrets)
    assert told in told_in_full
    assert not value or value not in told_in_full


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"value": "CANARY', id="cut-off"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"value": null}', id="null"),
        pytest.param(b"{}", id="no-value"),
    ],
)
async def test_an_answer_that_is_no_secret_is_a_failure_without_its_text(
    secrets: KeyVaultSecrets, vault: FakeVault, clock: FakeClock, raw: bytes
) -> None:
    """Whatever the SDK makes of a broken body, the cache says that there is no key, and quotes nothing."""
    vault.raw = raw
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    with pytest.raises(
        KeyUnavailable, match=r"answered 200|is empty|reading secret face-key failed|not Key Vault"
    ) as no:
        await cache.get()
    assert "CANARY" not in no.value.detail


async def test_a_vault_that_is_not_there_is_unreachable(secrets: KeyVaultSecrets, served: Served) -> None:
    """A refused connection is told as such."""
    await served.runner.cleanup()
    assert (
        await detail(secrets) == f"Key Vault did not answer (ClientConnectorError); vault host {served.host}"
    )


async def test_a_vault_that_has_no_address_is_unreachable(
    secrets: KeyVaultSecrets, served: Served, names: Names
) -> None:
    """A name that does not resolve, as that of a mistyped vault, is told as such."""
    names.clear()
    assert await detail(secrets) == (
        f"Key Vault did not answer (ClientConnectorDNSError); vault host {served.host}"
    )


async def test_a_vault_that_hangs_up_is_tried_twice(secrets: KeyVaultSecrets, served: Served) -> None:
    """The SDK tries twice at once, and aiohttp under it twice each; then the vault is unreachable."""
    served.vault.hang_up = True
    assert await detail(secrets) == (
        f"Key Vault did not answer (ServerDisconnectedError); vault host {served.host}"
    )
    assert served.vault.hung_up == 4


async def test_a_vault_that_says_nothing_is_given_up_at_the_deadline(
    served: Served, identity: ManagedIdentity
) -> None:
    """The deadline holds for the whole read, whatever the SDK's own time-outs are."""
    served.vault.open.clear()
    hasty = open_key_vault(served.url, identity, deadline=0.2)
    assert await detail(hasty) == f"Key Vault did not answer (TimeoutError); vault host {served.host}"
    served.vault.open.set()
    await hasty.aclose()


async def test_a_vault_with_an_unknown_certificate_is_unreachable(
    secrets: KeyVaultSecrets, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vault's certificate is verified, before anything is asked."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().configure_trust(strict)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", strict)
    assert "Certificate" in await detail(secrets)
    assert served.vault.challenges == 0


async def test_a_vault_over_plain_http_is_sent_nothing(identity: ManagedIdentity, served: Served) -> None:
    """The SDK refuses to speak without TLS."""
    plain = open_key_vault(served.url.replace("https", "http"), identity)
    assert await detail(plain) == f"Key Vault did not answer (ServiceRequestError); vault host {served.host}"
    await plain.aclose()


async def test_a_challenge_that_names_another_domain_gets_no_token(
    secrets: KeyVaultSecrets, served: Served, endpoint: FakeIdentity
) -> None:
    """A host that asks for somebody else's token is no vault."""
    served.vault.resource = "https://example.com"
    assert await detail(secrets) == f"the answer is not Key Vault's (ValueError); vault host {served.host}"
    assert endpoint.calls == []


async def test_a_redirect_is_not_followed(secrets: KeyVaultSecrets, vault: FakeVault) -> None:
    """A vault does not send its callers elsewhere."""
    vault.trouble = web.Response(status=302, headers={"Location": "https://elsewhere.vault.azure.net/"})
    assert (await detail(secrets)).startswith("Key Vault answered 302: ")
    assert vault.reads == 1


async def test_a_proxy_in_the_environment_is_not_used(
    secrets: KeyVaultSecrets, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the vault's nor the identity's call goes through a proxy that a variable names."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    vault.secrets[NAME] = KEY
    assert (await secrets.read(NAME)).reveal() == KEY


async def test_the_configured_identity_is_the_one_that_is_asked_for(
    endpoint: FakeIdentity, served: Served
) -> None:
    """A user-assigned identity is named by its client id."""
    endpoint.client_ids = frozenset({"the-client-id"})
    served.vault.secrets[NAME] = KEY
    identity = open_identity("the-client-id")
    secrets = open_key_vault(served.url, identity)
    await secrets.read(NAME)
    assert [call["client_id"] for call in endpoint.calls] == ["the-client-id"]
    await secrets.aclose()
    await identity.close()


MISSING = (
    "the managed identity is missing or not assigned to the app (400): "
    "assign it, and compare the configured client id"
)


async def test_an_identity_that_is_not_assigned_is_told_instead_of_the_vault(
    endpoint: FakeIdentity, served: Served
) -> None:
    """The failure of the identity is not taken for one of the vault."""
    identity = open_identity("a-client-id-that-nobody-assigned")
    secrets = open_key_vault(served.url, identity)
    assert await detail(secrets) == MISSING
    await secrets.aclose()
    await identity.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param((400, '{"statusCode":400,"message":"No MSI found"}'), MISSING, id="not-assigned"),
        pytest.param(
            (403, '{"statusCode":403}'),
            MISSING.replace("400", "403"),
            id="forbidden",
        ),
        pytest.param(
            (500, '{"statusCode":500}'),
            "the managed identity endpoint answered 500 without a token",
            id="failing",
        ),
        pytest.param(
            (200, "{}"), "the managed identity endpoint answered 200 without a token", id="empty-object"
        ),
        pytest.param(
            (200, '{"access_token":"CANARY","expires_on":"soon","resource":"r"}'),
            "the managed identity endpoint answered no token (ValueError)",
            id="end-is-no-number",
        ),
        pytest.param(
            (200, '{"access_token":"CANARY","expires_on":"4102444800"}'),
            "the managed identity endpoint answered 200 without a token",
            id="no-resource",
        ),
    ],
)
async def test_an_identity_endpoint_in_trouble_is_told_from_the_vault(
    secrets: KeyVaultSecrets, endpoint: FakeIdentity, answer: tuple[int, str], told: str
) -> None:
    """Each way in which the endpoint gives no token names the endpoint, and quotes nothing."""
    endpoint.answer = answer
    assert (await detail(secrets)).startswith(told)


async def test_an_identity_endpoint_that_is_not_there_is_told(
    served: Served, endpoint: FakeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that nobody listens at is unreachable."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    identity = open_identity()
    secrets = open_key_vault(served.url, identity)
    assert await detail(secrets) == "the managed identity endpoint did not answer (ClientConnectorError)"
    await secrets.aclose()
    await identity.close()


async def test_an_identity_endpoint_that_says_nothing_is_given_up_at_its_deadline(
    served: Served, endpoint: FakeIdentity
) -> None:
    """A token that does not come is told as such, not as a vault that does not answer."""
    endpoint.open.clear()
    identity = open_identity(deadline=0.2)
    secrets = open_key_vault(served.url, identity)
    assert await detail(secrets) == "the managed identity endpoint did not answer (TimeoutError)"
    endpoint.open.set()
    await secrets.aclose()
    await identity.close()


SCOPE = "https://storage.azure.com/.default"


async def give_up(identity: ManagedIdentity) -> None:
    """Ask for a token as a call of the store does that has no time left."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await identity.get_token(SCOPE)


async def test_a_token_that_comes_after_its_callers_have_gone_is_there_for_the_next(
    endpoint: FakeIdentity, identity: ManagedIdentity
) -> None:
    """However short a call is, an endpoint that takes longer gives a token in the end, and is asked once."""
    endpoint.open.clear()
    await give_up(identity)
    await asyncio.gather(give_up(identity), give_up(identity))
    endpoint.open.set()

    token = await identity.get_token(SCOPE)

    assert token.token in endpoint.tokens
    assert len(endpoint.calls) == 1


async def test_tokens_for_different_scopes_are_asked_for_side_by_side(
    endpoint: FakeIdentity, identity: ManagedIdentity
) -> None:
    """Each scope has a request of its own, shared by those who want this one."""
    vault = "https://vault.azure.net/.default"
    await asyncio.gather(*(identity.get_token(scope) for scope in (SCOPE, vault, SCOPE, vault)))

    resources = [call["resource"] for call in endpoint.calls]

    assert sorted(resources) == ["https://storage.azure.com", "https://vault.azure.net"]


async def test_a_refusal_is_told_to_all_who_wait_and_not_remembered(
    endpoint: FakeIdentity, identity: ManagedIdentity
) -> None:
    """The identity may be assigned a moment later."""
    endpoint.answer = (400, "{}")
    told = await asyncio.gather(identity.get_token(SCOPE), identity.get_token(SCOPE), return_exceptions=True)
    missing = (
        "the managed identity is missing or not assigned to the app (400): "
        "assign it, and compare the configured client id"
    )
    assert [getattr(failure, "detail", "") for failure in told] == [missing, missing]
    assert len(endpoint.calls) == 1
    endpoint.answer = None
    assert (await identity.get_token(SCOPE)).token in endpoint.tokens


async def test_a_request_for_a_token_ends_with_the_identity(endpoint: FakeIdentity) -> None:
    """Nothing goes on when the app has ended."""
    endpoint.open.clear()
    async with open_identity() as opened:
        await give_up(opened)
    endpoint.open.set()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "fetch a token"]
