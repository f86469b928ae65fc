import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest
from aiohttp import web

from shared.errors import KeyUnavailable
from shared.keys.cache import CachedSecret
from shared.keys.credentials import face_tokens, key_credential, token_credential
from shared.keys.identity import ManagedIdentity
from shared.keys.key_vault import KeyVaultSecrets
from shared.text import system_clock
from tests.shared.keys.fake_azure import CANARY, FACE_SCOPE, FakeIdentity, FakeVault, key_vault_error
from tests.shared.keys.fake_secret import MINUTE, settle
from tests.support.secrecy import everything_told_about
from tests.support.time import FakeClock

NAME = "face-key"
VAULT_SCOPE = "https://vault.azure.net/.default"


class Collector(logging.Handler):
    """Writes down everything that a log handler could: texts, arguments, tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter())
        self.records: list[logging.LogRecord] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts += [self.format(record), repr(record.__dict__)]


@pytest.fixture
def log() -> Iterator[Collector]:
    """Collect what every logger says at DEBUG, the libraries' own included, whatever level they were set to."""
    collector = Collector()
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(collector)
    yield collector
    logging.getLogger().removeHandler(collector)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def test_nothing_secret_is_logged_or_told_while_a_key_is_read_rolled_and_refused(
    vault: FakeVault, secrets: KeyVaultSecrets, identity: ManagedIdentity, clock: FakeClock, log: Collector
) -> None:
    """Neither key, token nor the identity's own header is in a log record or a repr, with every logger at DEBUG."""
    vault.secrets[NAME] = f"{CANARY}-key-1"
    cache = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock)
    credential = key_credential(cache)
    refused = await cache.get()
    vault.secrets[NAME] = f"{CANARY}-key-2"
    assert await cache.refresh(refused) != refused
    vault.trouble = key_vault_error(403, "Forbidden", "ForbiddenByRbac")
    clock.advance_ms(17 * MINUTE)
    shown = [repr(value) for value in (cache, credential, refused, secrets, identity, await cache.get())]
    await settle()
    await cache.aclose()
    assert {"shared.keys.cache", "azure.core.pipeline.policies.http_logging_policy", "msal.token_cache"} <= {
        record.name for record in log.records
    }
    assert not [text for text in log.texts + shown if CANARY in text]


async def test_nothing_secret_is_logged_or_told_while_tokens_are_issued_and_refused(
    identity: ManagedIdentity, endpoint: FakeIdentity, log: Collector
) -> None:
    """Tokens sent to Face stay out of the log, also of the SDK's, which reads their claims."""
    clock = FakeClock(system_clock())
    tokens = face_tokens(identity, clock, FACE_SCOPE)
    credential = token_credential(tokens)
    refused = await tokens.get()
    newer = await tokens.refresh(refused)
    assert newer != refused
    endpoint.answer = (400, '{"statusCode":400}')
    clock.advance_ms(MINUTE)
    assert await tokens.refresh(newer) == newer
    await tokens.aclose()
    assert any(record.name.startswith("azure.identity") for record in log.records)
    assert not [text for text in [*log.texts, repr(credential), repr(refused)] if CANARY in text]


@pytest.mark.parametrize(
    "trouble",
    [
        {"trouble": key_vault_error(403, "Forbidden", "ForbiddenByRbac")},
        {"trouble": web.Response(status=503, text=f"{CANARY}")},
        {"raw": b'{"value": "' + CANARY.encode()},
        {"raw": b'["' + CANARY.encode() + b'"]'},
        {"secrets": {NAME: f"{CANARY}\n"}},
        {"hang_up": True},
        {"answer": (200, f'{{"access_token":"{CANARY}","resource":"r"}}')},
        {"answer": (200, f'{{"access_token":"{CANARY}","expires_on":"soon","resource":"r"}}')},
        {"answer": (400, '{"statusCode":400}')},
        {"answer": (200, f'{{"access_token":"{CANARY}')},
    ],
)
async def test_nothing_secret_is_in_an_error_however_vault_or_identity_fail(
    vault: FakeVault,
    endpoint: FakeIdentity,
    secrets: KeyVaultSecrets,
    identity: ManagedIdentity,
    clock: FakeClock,
    log: Collector,
    trouble: dict[str, object],
) -> None:
    """No text of an error, no local variable of its frames and no log record quotes what they answered."""
    for name, value in trouble.items():
        setattr(endpoint if name == "answer" else vault, name, value)
    clock.now = system_clock()
    keys = CachedSecret(partial(secrets.read, NAME), name=NAME, clock=clock).get
    reads: list[Callable[[], Awaitable[object]]] = [keys, partial(secrets.read, NAME)]
    if "answer" in trouble:
        reads = [keys, face_tokens(identity, clock, FACE_SCOPE).get, partial(identity.get_token, VAULT_SCOPE)]
    for read in reads[: 1 if "raw" in trouble else None]:
        with pytest.raises(KeyUnavailable) as unavailable:
            await read()
        assert CANARY not in everything_told_about(unavailable.value)
    assert not [text for text in log.texts if CANARY in text]
