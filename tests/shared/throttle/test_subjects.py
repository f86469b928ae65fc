"""Which limits a request counts against, under which keys, and that a refused request leaves nothing behind."""

from collections.abc import Awaitable
from dataclasses import replace

import pytest

from create_session.use_case import create_session
from get_result.use_case import ResultQuery, get_result
from shared.access import Caller
from shared.app import App, build
from shared.errors import ClientThrottled, DeviceThrottled, SessionNotFound, Throttled
from shared.queues.port import MemoryQueue
from shared.settings import Settings
from shared.throttle.limiter import Subject
from shared.throttle.policy import Limit, Limits
from shared.throttle.subjects import Subjects, rows_of
from tests.shared.sessions.test_record import NEW
from tests.support.app import PSEUDONYMS
from tests.support.broker import environment
from tests.support.commands import create_command
from tests.support.fake_face import FakeFace
from tests.support.time import FakeClock
from tests.support.watched_store import WatchedStore


async def test_create_counts_against_device_person_transaction_and_address() -> None:
    """The limits that are known of each; failures are only looked at. Keys hold pseudonyms."""
    settings = Settings.from_mapping(environment("http://127.0.0.1:9"))
    subjects = Subjects(settings, PSEUDONYMS)
    [pepper] = await PSEUDONYMS.peppers()
    created, failures = (
        Limit("device", settings.throttle_device, "created", charged=True),
        Limit("failures", settings.throttle_failures, "failed", charged=False),
    )
    principal = Limit("principal", settings.throttle_principal, "created", charged=True)
    reference = Limit("reference", settings.throttle_reference, "created", charged=True)
    called = Limit("client", settings.throttle_client, "created", charged=True)
    missed = Limit("misses", settings.throttle_misses, "missed", charged=True)
    device = Subject("device-d1", Limits(created, failures), DeviceThrottled)
    client_key = f"client-{pepper.of('client', '192.0.2.1')}"
    client = Subject(client_key, Limits(called), ClientThrottled)

    assert subjects.of_create(pepper, "d1", "c1", "192.0.2.1", "t1") == [
        device,
        Subject("principal-c1", Limits(principal, failures), ClientThrottled),
        Subject("transaction-t1", Limits(reference), ClientThrottled),
        client,
    ]
    assert subjects.of_create(pepper, "d1", None, None) == [device]
    [miss] = await subjects.of_misses((), "192.0.2.1")
    assert miss == Subject(client_key.replace("client-", "miss-"), Limits(missed), ClientThrottled)
    assert await subjects.of_misses((), None) == []
    record = replace(NEW, limit_rows=tuple(rows_of("d1", "c1")))
    assert subjects.of_failure(record) == [(device.key, failures), ("principal-c1", failures)]
    assert rows_of("d1", None) == [device.key]


def create(app: App, caller: Caller, device: str = "a-device", key: str | None = None) -> Awaitable[object]:
    command = create_command(device, caller, key=key, reference=caller.client_reference)
    return create_session(app, command)


class Fleet:
    """Two instances of the app over one store, queue and Face."""

    def __init__(self, **settings: str) -> None:
        clock = FakeClock()
        self.store, self.queue, self.face = WatchedStore([]), MemoryQueue(clock), FakeFace()
        mapping = environment("http://127.0.0.1:9", ID_PEPPER="one-for-both", **settings)
        self.here, self.there = (
            build(
                Settings.from_mapping(mapping),
                clock=clock,
                face=self.face,
                store=self.store,
                queue=self.queue,
            )
            for _ in range(2)
        )

    async def require_refusal_without_effect(
        self, request: Awaitable[object], refusal: type[Throttled]
    ) -> None:
        """Send a request that must be refused, and compare all that a request could leave behind."""
        before = self.store.rows(), len(self.queue.messages), self.face.calls.total()
        with pytest.raises(refusal):
            await request
        assert (self.store.rows(), len(self.queue.messages), self.face.calls.total()) == before


@pytest.mark.parametrize(
    ("issuer", "client_id", "admitted"),
    [
        ("https://a.example", "a-client", 3),
        ("https://a.example", "other", 2),
        ("https://b.example", "other", 1),
        (None, None, 1),
    ],
    ids=["client id before issuer", "issuer", "another", "without a name"],
)
@pytest.mark.parametrize("name", ["principal", "client", "device"])
async def test_override_changes_a_limit_for_the_callers_that_it_names(
    name: str, issuer: str | None, client_id: str | None, admitted: int
) -> None:
    """It changes no other limit."""
    off = {f"THROTTLE_{one}": "off" for one in ("DEVICE", "PRINCIPAL", "CLIENT")}
    overrides = f"a-client {name} 3/1h, 9/2h ;https://a.example {name} 2/1h"
    fleet = Fleet(**off | {f"THROTTLE_{name.upper()}": "1/1h", "THROTTLE_OVERRIDES": overrides})
    caller = Caller("shop", "192.0.2.1", issuer, client_id)
    for _ in range(admitted):
        await create(fleet.here, caller)
    with pytest.raises(Throttled):
        await create(fleet.there, caller)


@pytest.mark.parametrize("name", ["principal", "client", "device"])
@pytest.mark.parametrize(("usual", "overridden"), [("off", "1/1h"), ("1/1h", "off")])
async def test_override_switches_a_limit_on_or_off(name: str, usual: str, overridden: str) -> None:
    """A limit that is off for others has its windows for the caller, and the other way round."""
    off = {f"THROTTLE_{one}": "off" for one in ("DEVICE", "PRINCIPAL", "CLIENT")}
    overrides = f"a-client {name} {overridden}"
    fleet = Fleet(**off | {f"THROTTLE_{name.upper()}": usual, "THROTTLE_OVERRIDES": overrides})
    named, other = Caller("shop", "192.0.2.1", client_id="a-client"), Caller("anna", "192.0.2.1")
    limited, free = (other, named) if overridden == "off" else (named, other)
    for caller in (limited, free, free):
        await create(fleet.here, caller)
    with pytest.raises(Throttled):
        await create(fleet.here, limited)


async def test_caller_with_another_limit_for_addresses_uses_up_nothing_of_others() -> None:
    """They count in rows of their own."""
    fleet = Fleet(THROTTLE_CLIENT="1/1h", THROTTLE_OVERRIDES="a-client client 2/1h")
    server, phone = Caller("shop", "192.0.2.1", client_id="a-client"), Caller("anna", "192.0.2.1")
    for caller in (server, phone, server):
        await create(fleet.here, caller)
    for caller in (server, phone):
        await fleet.require_refusal_without_effect(create(fleet.there, caller), ClientThrottled)


V1 = Caller("entra:a-tenant anna", issuer="https://sts.windows.net/a-tenant/", client_reference="order:1")
V2 = replace(V1, principal="entra:a-tenant bert", issuer="https://login.microsoftonline.com/a-tenant/v2.0")


@pytest.mark.parametrize(
    ("second", "is_refused"),
    [
        (V2, True),
        (replace(V2, principal="entra:b-tenant bert"), False),
        (Caller("https://b.example bert", issuer="https://b.example", client_reference="order:1"), False),
    ],
    ids=["version 2", "another tenant", "another issuer"],
)
async def test_transaction_of_an_entra_tenant_is_one_over_both_versions(
    second: Caller, is_refused: bool
) -> None:
    """Their issuers differ. The transactions of other tenants and issuers are others."""
    fleet = Fleet(THROTTLE_REFERENCE="1/d", CLIENT_REFERENCE="token")
    await create(fleet.here, V1)
    if is_refused:
        await fleet.require_refusal_without_effect(create(fleet.there, second), ClientThrottled)
    else:
        await create(fleet.there, second)


HOME, OFFICE = "192.0.2.1", "192.0.2.2"


@pytest.mark.parametrize(
    ("name", "device", "caller", "refusal"),
    [
        ("DEVICE", "phone", Caller("anna", OFFICE), DeviceThrottled),
        ("FAILURES", "phone", Caller("anna", OFFICE), DeviceThrottled),
        ("PRINCIPAL", "other-phone", Caller("anna", OFFICE), ClientThrottled),
        ("CLIENT", "other-phone", Caller("bert", HOME), ClientThrottled),
    ],
)
async def test_create_that_one_limit_refuses_leaves_everything_as_it_was(
    name: str, device: str, caller: Caller, refusal: type[Throttled]
) -> None:
    """No row of any table changes, no message is sent and Face is not called; on each instance, with a key or not."""
    fleet = Fleet(**{f"THROTTLE_{name}": "1/1h"})
    await create(fleet.here, Caller("anna", HOME), "phone")
    if name == "FAILURES":
        pseudonym = await fleet.here.pseudonyms.of("device", "anna", "phone")
        record = replace(NEW, limit_rows=tuple(rows_of(pseudonym, None)))
        for row, limit in fleet.here.subjects.of_failure(record):
            await fleet.here.limiter.charge(row, limit, fleet.here.clock())
    for app in (fleet.here, fleet.there, fleet.here):
        for key in (None, "an-idempotency-key"):
            await fleet.require_refusal_without_effect(create(app, caller, device, key), refusal)


async def test_misses_do_not_use_up_the_creates_of_their_address() -> None:
    """A miss that is refused leaves everything as it was, and creates go on; the other way round too."""
    fleet = Fleet(THROTTLE_CLIENT="1/1h", THROTTLE_MISSES="1/1h")
    query = ResultQuery("ffffffff-fa4e-4000-8000-000000000000", "a-token", Caller(None, HOME), "a-request")
    with pytest.raises(SessionNotFound):
        await get_result(fleet.there, query)
    for app in (fleet.here, fleet.there):
        await fleet.require_refusal_without_effect(get_result(app, query), ClientThrottled)
    await create(fleet.here, Caller("anna", HOME))
    for app in (fleet.here, fleet.there):
        await fleet.require_refusal_without_effect(create(app, Caller("bert", HOME)), ClientThrottled)
