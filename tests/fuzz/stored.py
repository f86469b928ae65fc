"""Fuzzers of what the store, the queue and the settings hold."""

import base64
import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import (
    IdempotencyInProgress,
    IdempotencyKeyReused,
    SettingsError,
    StorageUnavailable,
)
from shared.events.cloud_event import event_of
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.idempotency import Answer, Idempotency, RequestKey, unseal
from shared.keys.secret import Secret, StaticSecret
from shared.pseudonyms import Pseudonyms
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import SessionRecord, Step
from shared.sessions.store import Sessions, from_entity, unverified
from shared.settings import Settings
from shared.storage.account import StorageAccount
from shared.storage.port import Entity, EntityStore, MemoryStore, Table
from shared.text import LATEST, rfc3339
from shared.throttle.policy import Policy
from shared.throttle.rows import Row, encode
from tests.fuzz.target import complete, fuzzer, object_of, text_of
from tests.support.time import FakeClock

SESSION: Final = "b12e033e-bda7-4b83-a211-e721c661f30e"
_NOW: Final = 1_800_000_000_000
_CLOCK: Final = FakeClock(_NOW)
_PEPPER: Final = Pseudonyms(StaticSecret(Secret("pepper-of-the-tests")))
_REQUEST: Final = RequestKey("somebody", "a-key-of-16-characters", "the request")
_CONTENT: Final = {
    "session_id": SESSION,
    "auth_token": "token",
    "expires_at": _NOW + 600_000,
    "rate_limit": {},
}


def _row_of(record: SessionRecord) -> bytes:
    store = MemoryStore()
    complete(Sessions(store, 30, _PEPPER).add(record))
    return _input_of(complete(store.get(Table.SESSIONS, SESSION)))


async def _claimed(content: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The row of a key with an answer, and before that with a claim."""
    store, rows = MemoryStore(), []

    async def note() -> None:
        rows.extend([_input_of(row) async for row in store.expired(Table.IDEMPOTENCY, LATEST)])

    async def work(_again: bool, _row: str) -> Answer:
        await note()
        return Answer(content, _NOW + 600_000)

    async def undo(_: Answer) -> None:
        raise AssertionError("the answer was stored")

    await Idempotency(store, _PEPPER, _CLOCK).once(_REQUEST, work, undo)
    await note()
    return tuple(reversed(rows))


def _input_of(entity: Entity | None) -> bytes:
    assert entity
    return json.dumps({**entity.values, "expires_at": entity.expires_at}).encode()


_RECORD: Final = SessionRecord(
    session_id=SESSION,
    token_hash="0" * 64,
    device="1" * 64,
    created_at=_NOW,
    token_expires_at=_NOW + 600_000,
    caller="2" * 64,
    principal="somebody",
    client_reference="order-1",
    face_api_version="v1.2",
    region="westeurope",
    reads=(_NOW, _NOW + 1),
    history=((_NOW, Step.CREATED),),
    further={"of_another_release": 1},
)
_LATER: Final = _NOW + 900_000
_SPOOF: Final = SessionResult(SessionStatus.RESULT_AVAILABLE, 2, LivenessDecision.SPOOFFACE, "AB" * 32)
_MASK: Final = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("FaceWithMaskDetected", "A mask.")
)
_RECORDS: Final = (
    _RECORD,
    _RECORD.expired(_LATER),
    replace(_RECORD, created_at=LATEST, token_expires_at=LATEST),
    _RECORD.with_result(_SPOOF, _LATER).as_published(_LATER),
    _RECORD.with_result(_MASK, _LATER).as_deleted_upstream(_LATER),
    _RECORD.as_revoked(_LATER),
)
_ROWS: Final = tuple(map(_row_of, _RECORDS))
_WRITTEN: Final = [json.loads(row) for row in _ROWS]
_POLICY: Final = Policy.parse("5/10m, 20/d")
_SEALED: Final = bytes(12) + AESGCM(bytes(32)).encrypt(bytes(12), b"an answer", b"a row")
_LOCAL: Final = {"FACE_ENDPOINT": "http://127.0.0.1:7072", "FACE_KEY": "k", "ID_PEPPER": "p"}
_AZURITE: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
_SETTINGS: Final = (
    "FACE_REGION=westeurope\nFACE_API_VERSION=v1.2\nKEY_VAULT_URL=https://a.vault.azure.net\nFACE_MAX_TPS=6.5\n"
    "THROTTLE_DEVICE=5/10m, 20/d\nTHROTTLE_CLIENT=off\nCLIENT_ADDRESS=frontdoor\nFRONT_DOOR_ID=" + SESSION,
    (
        "FACE_ENDPOINT=https://name.cognitiveservices.azure.com/\nFACE_AUTH=identity\nPUBLIC_BASE_URL=https://[::1]:8443\n"
        "WEBSITE_SITE_NAME=app\nAzureWebJobsStorage__accountName=account\nCLIENT_AUTH=jwt\nAUTH_AUDIENCE=api://a, b\n"
        "AUTH_ISSUER=https://login.microsoftonline.com/t/v2.0, https://a.example:8443/b/\nKEY_VAULT_URL=https://a.b\n"
        "EVENT_GRID_TOPIC_ENDPOINT=https://a.westeurope-1.eventgrid.azure.net/api/events"
    ),
    "FACE_ENDPOINT=http://[::1]:7072\nFACE_KEY=k\nID_PEPPER=p\nAzureWebJobsStorage=" + _AZURITE,
)


class _OneRow:
    """A store with one row, whatever it holds."""

    def __init__(self, values: Mapping[str, Any], expires_at: int) -> None:
        self._values = values
        self._expires_at = expires_at

    async def get(self, table: Table, key: str) -> Entity:
        return Entity(key, self._values, self._expires_at, "an etag")


def _store_of(data: bytes) -> EntityStore | None:
    """A row from a JSON object: arrays and objects stand for the types of Table Storage that the app does not write."""
    values = object_of(data)
    if values is None:
        return None
    row = {name: _stored(value) for name, value in values.items() if value is not None}
    expires_at = row.pop("expires_at", 0)
    return cast(EntityStore, _OneRow(row, expires_at if type(expires_at) is int else 0))


def _stored(value: object) -> object:
    if isinstance(value, dict):
        return datetime.fromtimestamp(0, UTC)
    # An integer has at most 64 bits in a table.
    is_other = isinstance(value, list) or (type(value) is int and not -(2**63) <= value < 2**63)
    return b"bytes" if is_other else value


@fuzzer("session row", *_ROWS, raises=(StorageUnavailable,))
def _session_row(data: bytes) -> None:
    store = _store_of(data)
    if store is None:
        return
    entity = complete(store.get(Table.SESSIONS, SESSION))
    assert entity is not None
    values = entity.values
    record = unverified(entity).record
    if record.passed:
        assert (values["status"], values["decision"]) == ("ResultAvailable", "realface")
        assert "failure_code" not in values
    assert record.decision is None or record.status is SessionStatus.RESULT_AVAILABLE
    (record.principal or "").encode()
    json.dumps([event_of(record), [astuple(entry) for entry in record.audit()]])
    rfc3339(record.token_expires_at)
    # Nothing is decided by a row that the broker did not write.
    complete(from_entity(entity, _PEPPER))
    assert not record.passed
    assert {**values, "expires_at": entity.expires_at} in _WRITTEN


@fuzzer(
    "idempotency row",
    *complete(_claimed(_CONTENT)),
    raises=(StorageUnavailable, IdempotencyKeyReused, IdempotencyInProgress),
)
def _idempotency_row(data: bytes) -> None:
    store = _store_of(data)
    if store is not None:
        answer = complete(Idempotency(store, _PEPPER, _CLOCK).find(_REQUEST))
        assert answer is None or dict(answer.content) == _CONTENT


@fuzzer(
    "throttle row",
    {"created": encode((_NOW, _NOW, _NOW + 1000)), "failed": ""},
    {"called": encode(tuple(range(_NOW, _NOW + 60)))},
    raises=(StorageUnavailable,),
)
def _throttle_row(data: bytes) -> None:
    store = _store_of(data)
    if store is None:
        return
    entity = complete(store.get(Table.THROTTLE, "device-0"))
    assert entity is not None
    row = Row.of(entity)
    assert Row.of(row.entity()) == row
    for log in row.logs.values():
        assert list(log) == sorted(log)
        assert all(0 <= at <= LATEST for at in log)
        _POLICY.opens_at(log)


@fuzzer("sealed answer", _SEALED, base64.b64encode(_SEALED))
def _sealed(data: bytes) -> None:
    opened = unseal(bytes(32), data, b"a row")
    assert opened is None or data == _SEALED


@fuzzer(
    "queue message",
    CollectMessage(SESSION, Reason.SWEEP, traceparent="00-x").to_text(),
    CollectMessage(SESSION, Reason.REPLAY, attempt=3, looks=2).to_text(),
    raises=(ValueError,),
)
def _queue_message(data: bytes) -> None:
    message = CollectMessage.from_text(text_of(data))
    for following in (message, message.after_look(), message.after_failure()):
        assert CollectMessage.from_text(following.to_text()) == following


@fuzzer("settings", *_SETTINGS, raises=(SettingsError,))
def _settings(data: bytes) -> None:
    lines = (line.partition("=") for line in text_of(data).split("\n"))
    settings = Settings.from_mapping({name: value for name, _, value in lines})
    assert settings.face_url.startswith("http")
    assert settings.region
    assert settings.base_url is None or settings.base_url.startswith("http")


@fuzzer("limits", "5/10m, 20/d", "off", "1/s", "1000/31d,1/2s, 3/4m , 5/6h", raises=(ValueError,))
def _policy(data: bytes) -> None:
    policy = Policy.parse(text_of(data))
    assert Policy.parse(str(policy)) == policy
    assert policy.opens_at(()) == 0


@fuzzer(
    "connection string",
    _AZURITE,
    "UseDevelopmentStorage=true;",
    "TableEndpoint=https://a.table.core.windows.net;QueueEndpoint=https://a.queue.core.windows.net;"
    "SharedAccessSignature=sv=2026&sig=a%3D",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net",
    raises=(ValueError,),
)
def _connection_string(data: bytes) -> None:
    text = text_of(data)
    try:
        settings = Settings.from_mapping({**_LOCAL, "AzureWebJobsStorage": text})
    except SettingsError:
        return
    if settings.storage_connection is None:
        return
    account = StorageAccount.local(settings.storage_connection.reveal())
    complete(_opened(account))


async def _opened(account: StorageAccount) -> None:
    store = account.open_tables()
    await store.aclose()
    queue = account.open_queue("a-queue")
    await queue.aclose()
