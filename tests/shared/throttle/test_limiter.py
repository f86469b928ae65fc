"""What the limiter decides over one store, and what each decision costs."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ClientThrottled, DeviceThrottled, EntityChanged, StorageUnavailable, Throttled
from shared.storage.port import Entity, Table
from shared.throttle.limiter import Admission, Charge, Limiter, LocalLimit, Subject
from shared.throttle.policy import Limit
from tests.shared.throttle.builders import (
    CLIENT,
    DEVICE,
    FAILURES,
    START,
    Outcome,
    attempt,
    client,
    device,
    limit,
    limiter,
    one_turn,
    stored,
    stored_log,
)
from tests.support.intercepted import Call, Effect
from tests.support.store import FakeStore
from tests.support.time import FakeClock, in_virtual_time, virtual_clock

WRITE = "write_together"
POLICY_FIELD = {"RateLimit-Policy": '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'}


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def throttle(store: FakeStore, clock: FakeClock) -> Limiter:
    return limiter(store, clock)


@pytest.fixture
def elsewhere(store: FakeStore, clock: FakeClock) -> Limiter:
    """The limiter of another instance."""
    return limiter(store, clock)


def operations(store: FakeStore) -> list[str]:
    """Return the operations since the last look."""
    made = [call.operation for call in store.calls]
    store.calls.clear()
    return made


async def throttled(throttle: Limiter, *subjects: Subject) -> Throttled:
    """Ask for admission, which must be refused."""
    outcome = await attempt(throttle, *subjects)
    assert isinstance(outcome, Throttled)
    return outcome


# Charging.


async def test_device_is_charged_in_one_write(store: FakeStore, clock: FakeClock, throttle: Limiter) -> None:
    """All rows of the request are written together; an instance knows the rows that it wrote, however long ago."""
    subjects = [device(), client("b"), client("c")]
    admission = await throttle.admit(subjects)
    assert admission.charges == tuple(Charge(subject.key, "created", START) for subject in subjects)
    clock.advance_seconds(3600)
    await throttle.admit(subjects)
    assert operations(store) == [WRITE, WRITE]
    for charge in admission.charges:
        assert (await stored(store, charge.key)).logs["created"][-1] == clock.now
    assert (await stored(store, "device-a")).logs == {"created": (START, clock.now)}


@pytest.mark.parametrize("known", [False, True])
async def test_device_that_was_served_elsewhere_costs_a_lost_write_and_a_read(
    store: FakeStore, throttle: Limiter, elsewhere: Limiter, known: bool
) -> None:
    """The write loses, both rows are read, and the next write holds both charges."""
    if known:
        await throttle.admit([device(), client()])
    await elsewhere.admit([device(), client()])
    store.calls.clear()
    await throttle.admit([device(), client()])
    assert operations(store) == [WRITE, "get", "get", WRITE]
    assert len(await stored_log(store, "device-a")) == len(await stored_log(store, "client-a")) == 2 + known


async def test_device_that_was_used_up_elsewhere_is_read_once(
    store: FakeStore, throttle: Limiter, elsewhere: Limiter
) -> None:
    """The rows that were read after the lost write suffice for the refusal."""
    subjects = [device("a", limit("1/m")), client()]
    await elsewhere.admit(subjects)
    store.calls.clear()
    await throttled(throttle, *subjects)
    assert operations(store) == [WRITE, "get", "get"]


@pytest.mark.parametrize("subjects", [[], [device("a", limit("off")), client("a", limit("off"))]])
async def test_request_without_limits_costs_nothing(
    store: FakeStore, throttle: Limiter, subjects: list[Subject]
) -> None:
    """Nor does its refund. It has no header field, and a failure of a limit that is off is not entered."""
    assert await throttle.admit(subjects) == Admission()
    await throttle.refund(Admission())
    await throttle.charge("device-a", limit("off"), START)
    assert operations(store) == []
    admission = await throttle.admit([*subjects, device("b", limit("off"), FAILURES), client("b")])
    assert admission == Admission((Charge("client-b", "created", START),))


async def test_admission_tells_the_state_of_the_device_limit_alone(throttle: Limiter) -> None:
    """The charge is counted; neither failures nor the address are told."""
    admission = await throttle.admit([client(), device()])
    assert admission.rate_limit == {**POLICY_FIELD, "RateLimit": '"device-10m";r=4;t=600'}


async def test_device_with_two_rows_is_told_the_state_of_the_one_with_less_left(
    clock: FakeClock, throttle: Limiter
) -> None:
    """While the pepper is rotated it has one under each. Among equals it is the one that resets last."""
    old, new = device("old"), device("new")
    await throttle.admit([old])
    clock.advance_seconds(60)
    await throttle.admit([new])
    equal = await throttle.admit([old, new])
    await throttle.admit([old])
    less = await throttle.admit([new, old])
    states = [admission.rate_limit["RateLimit"] for admission in (equal, less)]
    assert states == ['"device-10m";r=3;t=600', '"device-10m";r=1;t=540']


async def test_row_that_is_only_looked_at_is_read_by_each_request(
    store: FakeStore, throttle: Limiter, elsewhere: Limiter
) -> None:
    """What another instance entered counts, though no write of this one would notice."""
    await elsewhere.charge("device-a", FAILURES, START)
    admission = await throttle.admit([device("a", FAILURES), client()])
    assert admission.charges == (Charge("client-a", "created", START),)
    await elsewhere.charge("device-a", FAILURES, *range(START - 4, START))
    await throttled(throttle, device("a", FAILURES), client())
    assert await stored_log(store, "client-a") == (START,)


async def test_row_that_was_deleted_is_inserted_again(
    store: FakeStore, clock: FakeClock, throttle: Limiter
) -> None:
    """The retention job may have deleted it since this instance wrote."""
    await throttle.admit([device()])
    clock.advance_seconds(86_400)
    await store.inner.delete(Table.THROTTLE, "device-a")
    await throttle.admit([device()])
    assert await stored_log(store, "device-a") == (clock.now,)


async def test_row_expires_when_none_of_its_logs_matters_any_more(
    store: FakeStore, throttle: Limiter
) -> None:
    """The retention job may delete it then. An entry is never older than one of another instance's clock."""
    ahead = Entity("device-a", {"created": f"{START + 7000:x}"}, START)
    await store.inner.insert(Table.THROTTLE, ahead)
    await throttle.admit([device()])
    await throttle.charge("device-a", FAILURES, START)
    row = await stored(store, "device-a")
    assert row.logs == {"created": (START + 7000, START + 7000), "failed": (START,)}
    assert row.expires_at == START + 7000 + 86_400_000

    await throttle.charge("device-b", FAILURES, START)
    assert (await stored(store, "device-b")).expires_at == START + 30 * 60_000


# Refusing.


async def test_used_up_device_is_refused_until_exactly_the_end(clock: FakeClock, throttle: Limiter) -> None:
    """One millisecond before the time that it was told, it is refused; then it is admitted."""
    for _ in range(5):
        await throttle.admit([device()])
        clock.advance_ms(1000)
    error = await throttled(throttle, device())
    assert (error.retry_after, error.detail) == (595.0, "limit device")
    assert error.rate_limit == {**POLICY_FIELD, "RateLimit": '"device-10m";r=0;t=595'}
    clock.advance_ms(594_999)
    error = await throttled(throttle, device())
    assert (error.retry_after, error.rate_limit["RateLimit"]) == (0.001, '"device-10m";r=0;t=1')
    clock.advance_ms(1)
    assert isinstance(await attempt(throttle, device()), Admission)


async def test_refusal_by_several_limits_tells_the_longest_wait(store: FakeStore, throttle: Limiter) -> None:
    """To retry earlier would be in vain. The cached refusal says the same as the first."""
    subjects = [device("a", limit("1/m")), client("a", limit("1/h", "client"))]
    await throttle.admit(subjects)
    for reads in (["get", "get"], []):
        store.calls.clear()
        error = await throttled(throttle, *subjects)
        assert (type(error), error.retry_after, error.detail) == (ClientThrottled, 3600.0, "limit client")
        assert operations(store) == reads


async def test_refusal_of_a_shared_limit_does_not_tell_the_state_of_the_device(throttle: Limiter) -> None:
    """It costs nothing, so that a caller could go on asking for the state of any device."""
    address = client("a", limit("1/h", "client"))
    await throttle.admit([device("a"), address])
    for _ in range(2):
        error = await throttled(throttle, device("b"), address)
        assert isinstance(error, ClientThrottled)
        assert error.rate_limit == POLICY_FIELD


async def test_refusal_by_failures_tells_no_later_reset_and_no_failures(
    store: FakeStore, throttle: Limiter
) -> None:
    """The state is that of the device limit, as far as it says nothing about a check."""
    await throttle.charge("device-a", FAILURES, *(START + 1000 * number for number in range(6)))
    assert await stored_log(store, "device-a", "failed") == tuple(START + 1000 * n for n in range(1, 6))
    error = await throttled(throttle, device())
    assert (type(error), error.retry_after) == (DeviceThrottled, 1801.0)
    assert error.rate_limit["RateLimit"] == '"device-10m";r=5'


@given(st.integers(1, 100_000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_little_and_never_early(wait_ms: int, chance: float) -> None:
    """It is at most a tenth of the wait, and at most five seconds."""

    async def refused() -> float:
        clock = FakeClock()
        throttle = Limiter(FakeStore(), clock, random=lambda: chance)
        hour = device("a", limit("1/h"))
        await throttle.admit([hour])
        clock.advance_ms(3_600_000 - wait_ms)
        return (await throttled(throttle, hour)).retry_after

    wait = wait_ms / 1000
    assert asyncio.run(refused()) == pytest.approx(wait + min(wait / 10, 5) * chance)


async def test_cached_row_that_refuses_is_read_before_the_refusal(
    store: FakeStore, throttle: Limiter, elsewhere: Limiter
) -> None:
    """Another instance may have refunded a charge. Only the row that refuses is read."""
    admission = await elsewhere.admit([device(), client("b")])
    for _ in range(4):
        await throttle.admit([device(), client()])
    await elsewhere.refund(admission)
    store.calls.clear()
    assert isinstance(await attempt(throttle, device(), client()), Admission)
    assert operations(store) == ["get", WRITE]


# Cached refusals.


async def test_flood_of_refused_calls_costs_a_read_each_ten_seconds_and_ends_in_time(
    store: FakeStore, clock: FakeClock, throttle: Limiter
) -> None:
    """Of a thousand calls over the whole wait 59 read, each 10.2 s after the one before."""
    subject = device("a", limit("5/10m"))
    for _ in range(5):
        await throttle.admit([subject])
    store.calls.clear()
    for call in range(1000):
        clock.now = START + call * 600
        assert (await throttled(throttle, subject)).retry_after == (600_000 - call * 600) / 1000
    clock.now = START + 599_999
    assert (await throttled(throttle, subject)).retry_after == 0.001
    assert operations(store) == ["get"] * 59
    clock.now = START + 600_000
    assert isinstance(await attempt(throttle, subject), Admission)


async def test_refund_elsewhere_makes_room_within_ten_seconds(
    store: FakeStore, clock: FakeClock, throttle: Limiter, elsewhere: Limiter
) -> None:
    """Until then the refusal is repeated; then one request of a crowd gets the place, and one more reads."""
    minute = device("a", limit("2/m"))
    admission = await elsewhere.admit([minute])
    await elsewhere.admit([minute])
    await throttled(throttle, minute)
    await elsewhere.refund(admission)
    store.calls.clear()
    clock.advance_ms(9_999)
    await throttled(throttle, minute)
    assert operations(store) == []
    clock.advance_ms(1)
    store.around = one_turn
    outcomes = await asyncio.gather(*(attempt(throttle, minute) for _ in range(64)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 1
    assert operations(store) == ["get", WRITE, "get"]


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (device("a", limit("2/10m")), False),
        (device("a", limit("1/m")), True),
        (device("a", FAILURES), False),
        (device("b", limit("1/10m")), False),
    ],
    ids=["raised-limit", "lowered-limit", "other-limit", "device-of-the-same-request"],
)
async def test_cached_refusal_holds_for_its_limit_and_subject_alone(
    throttle: Limiter, asked: Subject, refused: bool
) -> None:
    """A limit that was changed in the settings counts at once."""
    await throttle.admit([device("a", limit("1/10m")), client()])
    await throttled(throttle, device("a", limit("1/10m")), device("b", limit("1/10m")))
    assert isinstance(await attempt(throttle, asked, client()), Throttled) is refused


async def test_clock_that_is_set_back_keeps_refusals_exact(
    store: FakeStore, clock: FakeClock, throttle: Limiter
) -> None:
    """A refusal from the future is not believed; the wait is that of the clock as it is now."""
    minute = device("a", limit("1/m"))
    await throttle.admit([minute])
    clock.advance_seconds(30)
    await throttled(throttle, minute)
    for back_ms, wait in [(1, 30.001), (34_999, 65.0)]:
        clock.advance_ms(-back_ms)
        store.calls.clear()
        assert (await throttled(throttle, minute)).retry_after == wait
        assert operations(store) == ["get"]


async def test_cache_of_refusals_is_bounded(store: FakeStore) -> None:
    """Made-up ids cannot fill it: the refusal that was not used the longest goes first."""
    throttle = limiter(store, cached_refusals=2)
    for name in "abc":
        await throttle.admit([device(name, limit("1/m"))])
        await throttled(throttle, device(name, limit("1/m")))
    store.calls.clear()
    for name in "cba":
        await throttled(throttle, device(name, limit("1/m")))
    assert operations(store) == ["get"]


# Entering failures, and refunds.


async def test_failure_that_is_entered_again_or_too_old_is_not_written(
    store: FakeStore, throttle: Limiter
) -> None:
    """A message may be delivered again, and late."""
    await throttle.charge("device-b", FAILURES, START - 1_800_000)
    assert not (await stored(store, "device-b")).etag
    await throttle.charge("device-a", FAILURES, START, START - 1_799_999)
    await throttle.charge("device-a", FAILURES, START - 1_799_999, START)
    assert store.count(WRITE) == 1
    assert await stored_log(store, "device-a", "failed") == (START - 1_799_999, START)


@pytest.mark.parametrize("refunded", [True, False])
async def test_refund_or_failure_voids_the_cached_refusal_of_its_own_instance(
    clock: FakeClock, throttle: Limiter, refunded: bool
) -> None:
    """A refund makes room at once; a failure makes the wait longer."""
    failures = limit("1/m", "failures", "failed", charged=False)
    phone = device("a", limit("1/m"), failures)
    admission = await throttle.admit([phone])
    clock.advance_seconds(5)
    assert (await throttled(throttle, phone)).retry_after == 55.0
    if refunded:
        await throttle.refund(admission)
        assert isinstance(await attempt(throttle, phone), Admission)
    else:
        await throttle.charge("device-a", failures, clock.now)
        assert (await throttled(throttle, phone)).retry_after == 60.0


async def test_refund_takes_exactly_its_charges_back(
    store: FakeStore, clock: FakeClock, throttle: Limiter
) -> None:
    """All rows are refunded in one write, each log of a row; the charges before and after stay."""
    two_logs = device("a", DEVICE, limit("9/m", "other", "other"))
    admissions = []
    for _ in range(3):
        clock.advance_ms(1000)
        admissions.append(await throttle.admit([two_logs, client()]))
    store.calls.clear()
    await throttle.refund(admissions[1])
    assert operations(store) == [WRITE]
    kept = (START + 1000, START + 3000)
    assert (await stored(store, "device-a")).logs == {"created": kept, "other": kept}
    assert await stored_log(store, "client-a") == kept


async def test_refund_that_fails_is_logged_and_not_raised(
    store: FakeStore, throttle: Limiter, caplog: pytest.LogCaptureFixture
) -> None:
    """The request that it belongs to has a response of its own; no key is in the log."""
    admission = await throttle.admit([device()])
    store.fail(WRITE, StorageUnavailable("down"))
    await throttle.refund(admission)
    assert [record.getMessage() for record in caplog.records] == [
        '{"event": "throttle_refund_failed", "detail": "down"}'
    ]
    assert await stored_log(store, "device-a") == (START,)


async def test_refund_brings_no_deleted_row_back(store: FakeStore, throttle: Limiter) -> None:
    """The retention job deletes a row when nothing in it matters."""
    admission = await throttle.admit([device()])
    await store.inner.delete(Table.THROTTLE, "device-a")
    await throttle.refund(admission)
    assert not (await stored(store, "device-a")).etag


# Faults.


async def test_lost_races_are_retried_after_a_growing_pause(store: FakeStore) -> None:
    """Each time the rows are read again; nothing is charged twice."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    throttle = Limiter(store, FakeClock(), random=lambda: 1.0, sleep=sleep)
    store.fail(WRITE, *(EntityChanged() for _ in range(7)))
    await throttle.admit([device(), client()])
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5]
    assert operations(store) == [WRITE, *["get", "get", WRITE] * 7]
    assert await stored_log(store, "device-a") == (START,)


@pytest.mark.parametrize(
    ("elsewhere", "read"),
    [
        ([client()], ["client-a"]),
        ([device()], ["device-a", "client-a"]),
        ([device(), client()], ["device-a", "client-a"]),
    ],
)
async def test_rows_before_the_one_that_changed_elsewhere_are_not_read_again(
    store: FakeStore, throttle: Limiter, elsewhere: list[Subject], read: list[str]
) -> None:
    """A refused write tells that they are as they were. What was admitted elsewhere counts all the same."""
    subjects = [device(), client()]
    await throttle.admit(subjects)
    await limiter(store, FakeClock(START + 1000)).admit(elsewhere)
    store.calls.clear()

    await throttle.admit(subjects)

    assert [call.keys for call in store.calls if call.operation == "get"] == [(key,) for key in read]
    assert operations(store) == [WRITE, *["get"] * len(read), WRITE]
    for subject in subjects:
        admitted = len(await stored_log(store, subject.key))
        assert admitted == (3 if subject in elsewhere else 2)


async def test_all_rows_are_read_where_a_write_is_refused_again(store: FakeStore, throttle: Limiter) -> None:
    """A store that names the wrong row does not keep a request from its admission."""
    store.fail(WRITE, EntityChanged(1), EntityChanged(1))
    await throttle.admit([device(), client()])
    assert operations(store) == [WRITE, "get", WRITE, "get", "get", WRITE]


async def test_what_cannot_be_counted_is_an_error(throttle: Limiter) -> None:
    """One row cannot be two identities, and one log cannot be trimmed for two policies.

    Names go into header fields and table columns as they are.
    """
    with pytest.raises(ValueError, match="different keys"):
        await throttle.admit([device(), device()])
    with pytest.raises(ValueError, match="a log of its own"):
        device("a", DEVICE, CLIENT)
    for name, log in [("", "created"), ("Device", "created"), ("device", "x-y"), ("device", "a" * 33)]:
        with pytest.raises(ValueError, match="1 to 32 letters"):
            Limit(name, DEVICE.policy, log, charged=True)


# Many at once.


@pytest.mark.parametrize("others", [0, 1, 3])
async def test_herd_on_one_device_costs_at_most_eight_calls(
    store: FakeStore, throttle: Limiter, others: int
) -> None:
    """Of 64 at once five are admitted with a write each; the sixth reads the row, and the others cost nothing."""
    store.around = one_turn
    subjects = [device(), *(client(str(number)) for number in range(others))]
    outcomes = await asyncio.gather(*(attempt(throttle, *subjects) for _ in range(64)))
    assert [isinstance(outcome, Admission) for outcome in outcomes] == [True] * 5 + [False] * 59
    assert operations(store) == [WRITE] * 5 + ["get"]


async def test_request_that_is_refused_already_does_not_wait_for_its_rows(
    store: FakeStore, throttle: Limiter
) -> None:
    """A slow store must not hold up a flood of refused requests."""
    minute = device("a", limit("1/m"))
    await throttle.admit([minute])
    await throttled(throttle, minute)
    never = asyncio.Event()

    async def wait(call: Call, effect: Effect) -> object:
        return await never.wait()

    store.around = wait
    slow = asyncio.create_task(throttle.admit([device("b"), client()]))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await throttled(throttle, minute, client())
    slow.cancel()


async def herd(instances: int, creates: int, policy: str, *, longest_call: float) -> list[Outcome]:
    """Send creates of different devices behind one address at once; a call of the store may take that many seconds."""
    store, chance = FakeStore(), Random(1)  # noqa: S311 - a pattern, not a secret.

    async def around(call: Call, effect: Effect) -> object:
        half = chance.uniform(longest_call / 4, longest_call) / 2
        await asyncio.sleep(half)
        try:
            return await effect()
        finally:
            await asyncio.sleep(half)

    store.around = around
    limiters = [Limiter(store, virtual_clock, random=chance.random) for _ in range(instances)]
    address = client("a", limit(policy, "client"))
    return await asyncio.gather(
        *(attempt(limiters[n % instances], device(str(n)), address) for n in range(creates))
    )


@pytest.mark.parametrize(
    ("instances", "creates", "policy", "admitted"),
    [(1, 256, "60/10m", 60), (8, 256, "60/10m", 60), (40, 160, "1000/10m", 160)],
)
@in_virtual_time
async def test_herd_behind_one_address_is_admitted_exactly(
    instances: int, creates: int, policy: str, admitted: int
) -> None:
    """None of many creates at once fails, however many instances compete for the row."""
    outcomes = await herd(instances, creates, policy, longest_call=0.02)
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == admitted
    assert sum(isinstance(outcome, ClientThrottled) for outcome in outcomes) == creates - admitted


@in_virtual_time
async def test_call_ends_after_five_seconds_in_all() -> None:
    """The wait for the row counts. A caller without a decision is told to come back."""
    outcomes = await herd(24, 96, "1000/10m", longest_call=2.0)
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)
    assert any(isinstance(outcome, Admission) for outcome in outcomes)
    failed = [outcome for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
    assert {(error.detail, error.retry_after) for error in failed} == {
        ("throttle rows could not be written in time", 1.0)
    }


def test_a_local_limit_forgets_old_keys(clock: FakeClock) -> None:
    """It says how long to wait, and keeps no more keys than it may."""
    limit = LocalLimit("2/10s", clock, keys=2)
    for key in ("a", "a", "b"):
        assert limit.wait_ms(key) == 0
        limit.count(key)
    clock.advance_seconds(4)

    assert (limit.wait_ms("a"), limit.wait_ms("b")) == (6_000, 0)
    limit.count("b")
    limit.count("c")
    assert limit.wait_ms("a") == 0
