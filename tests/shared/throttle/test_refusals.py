"""Refusals that an instance remembers: what a flood costs, when it ends, and what it does not touch."""

import asyncio

import pytest

from shared.errors import ClientThrottled, DeviceThrottled
from shared.recent import Recent
from shared.throttle import Admission
from shared.throttle.decision import Refusal
from shared.throttle.refusals import Refusals
from tests.shared.throttle.doubles import (
    FAILURES,
    START,
    FakeStore,
    VirtualTime,
    attempt,
    client,
    device,
    limit,
    limiter,
)


async def test_flood_of_refused_calls_costs_a_read_each_ten_seconds_and_ends_in_time() -> None:
    """Of a thousand calls over the whole wait 59 look again, after 10.2 s each; the next one is admitted."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    subject = device("a", limit("5/10m"))
    for _ in range(5):
        await throttle.admit([subject])
    before = store.calls
    for call in range(1000):
        time.now = START + call * 600
        refusal = await attempt(throttle, subject)
        assert isinstance(refusal, DeviceThrottled)
        assert refusal.retry_after == (600_000 - call * 600) / 1000
        assert refusal.rate_limit["RateLimit"] == f'"device-10m";r=0;t={-((call * 600 - 600_000) // 1000)}'
    assert (store.gets + store.writes - before, store.writes) == (59, 5)
    time.now = START + 599_999
    assert isinstance(await attempt(throttle, subject), DeviceThrottled)
    time.now = START + 600_000
    assert isinstance(await attempt(throttle, subject), Admission)


async def test_refund_at_another_instance_makes_room_within_ten_seconds() -> None:
    """Up to then the refusal is given from memory; then one call looks again, for all who ask at once."""
    store, time = FakeStore(), VirtualTime()
    here, there = limiter(store, time), limiter(store, time)
    minute = limit("2/m")
    admission = await there.admit([device("a", minute)])
    await there.admit([device("a", minute)])
    assert isinstance(await attempt(here, device("a", minute)), DeviceThrottled)
    await there.refund(admission)
    before = store.calls
    time.now += 9_999
    assert isinstance(await attempt(here, device("a", minute)), DeviceThrottled)
    assert store.calls == before
    time.now += 1
    outcomes = await asyncio.gather(*(attempt(here, device("a", minute)) for _ in range(64)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 1
    assert store.calls - before <= 5


async def test_crowd_that_is_refused_looks_again_together() -> None:
    """When what is remembered is old, one call reads, and all who ask meanwhile share another read."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device("a", limit("1/m"))])
    await attempt(throttle, device("a", limit("1/m")))
    before = store.calls
    time.now += 10_000
    outcomes = await asyncio.gather(*(attempt(throttle, device("a", limit("1/m"))) for _ in range(64)))
    assert all(isinstance(outcome, DeviceThrottled) for outcome in outcomes)
    assert store.calls - before <= 2


async def test_new_ids_behind_a_refused_address_cost_one_read_each_ten_seconds() -> None:
    """Only the row that refuses is looked at again: a device that nobody knows decides nothing."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    address = client("a", limit("1/10m", "client"))
    await throttle.admit([device(), address])
    before = store.calls
    for number in range(60):
        time.now += 1_000
        assert isinstance(await attempt(throttle, device(str(number)), address), ClientThrottled)
    assert store.calls - before == 6


async def test_changed_policy_is_not_refused_by_what_is_remembered() -> None:
    """A raised limit takes effect at once, and a lowered one too."""
    throttle = limiter(FakeStore(), VirtualTime())
    await throttle.admit([device("a", limit("1/10m"))])
    assert isinstance(await attempt(throttle, device("a", limit("1/10m"))), DeviceThrottled)
    assert isinstance(await attempt(throttle, device("a", limit("2/10m"))), Admission)
    assert isinstance(await attempt(throttle, device("a", limit("1/m"))), DeviceThrottled)


async def test_other_limits_of_the_same_key_are_not_refused_by_what_is_remembered() -> None:
    """A request that does not ask for the limit is none of its business."""
    throttle = limiter(FakeStore(), VirtualTime())
    await throttle.admit([device("a", limit("1/10m"))])
    assert isinstance(await attempt(throttle, device("a", limit("1/10m"))), DeviceThrottled)
    assert isinstance(await attempt(throttle, device("a", FAILURES)), Admission)


async def test_remembered_refusals_of_several_subjects_answer_with_the_longest_wait() -> None:
    """As a decision in the store would."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    subjects = [device("a", limit("1/m")), client("a", limit("1/h", "client"))]
    await throttle.admit(subjects)
    await attempt(throttle, *subjects)
    before = store.calls
    refusal = await attempt(throttle, *subjects)
    assert isinstance(refusal, ClientThrottled)
    assert refusal.retry_after == 3600.0
    assert store.calls == before


async def test_refused_subject_does_not_refuse_others_of_its_address() -> None:
    """What is remembered of one device is not remembered of another."""
    throttle = limiter(FakeStore(), VirtualTime())
    await throttle.admit([device("a", limit("1/m")), client()])
    assert isinstance(await attempt(throttle, device("a", limit("1/m")), client()), DeviceThrottled)
    assert isinstance(await attempt(throttle, device("b", limit("1/m")), client()), Admission)


async def test_failure_entered_here_is_told_in_the_next_refusal() -> None:
    """The wait has grown: what was remembered is not told any more."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    failures = limit("1/m", "failures", "failed", charged=False)
    await throttle.charge("device-a", failures, time.now)
    time.now += 10_000
    assert isinstance(await attempt(throttle, device("a", failures)), DeviceThrottled)
    await throttle.charge("device-a", failures, time.now)
    refusal = await attempt(throttle, device("a", failures))
    assert isinstance(refusal, DeviceThrottled)
    assert refusal.retry_after == 60.0


async def test_clock_running_backwards_keeps_the_refusal_exact() -> None:
    """The wait is told from what the clock says now."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device("a", limit("1/m"))])
    await attempt(throttle, device("a", limit("1/m")))
    time.now -= 5000
    refusal = await attempt(throttle, device("a", limit("1/m")))
    assert isinstance(refusal, DeviceThrottled)
    assert refusal.retry_after == 65.0


@pytest.mark.parametrize("size", [0, 3])
def test_memory_of_refusals_is_bounded(size: int) -> None:
    """Whoever makes up ids cannot fill it; the oldest goes first."""
    memory = Refusals(size)
    for name in "abcdef":
        subject = device(name)
        memory.remember(Refusal(subject, subject.limits[0], None, START + 1), START)
    assert len(memory) == size
    assert bool(memory.of([device("f")], START)) is (size > 0)
    assert not memory.of([device("a")], START)


def test_ended_refusal_refuses_nobody() -> None:
    """It holds until its time, and not at it."""
    memory = Refusals(3)
    subject = device()
    memory.remember(Refusal(subject, subject.limits[0], None, START + 1), START)
    assert memory.of([subject], START)
    assert not memory.of([subject], START + 1)


def test_refusal_given_before_the_clock_was_put_right_is_not_believed() -> None:
    """An instance whose clock was an hour ahead until the store's first answer does not refuse for an hour."""
    memory = Refusals(3)
    subject = device()
    refusal = Refusal(subject, subject.limits[0], None, START + 600_000)
    memory.remember(refusal, START + 3_600_000)
    assert not memory.of([subject], START)


def test_memory_holds_each_limit_of_a_key_once_and_nothing_that_ended() -> None:
    """However many refusals a key gets, what is kept of it does not grow."""
    memory = Refusals(3)
    subject = device()
    created, failed = (Refusal(subject, asked, None, START + 9) for asked in subject.limits)
    memory.remember(Refusal(subject, created.limit, None, START + 1), START)
    memory.remember(created, START)
    memory.remember(failed, START)
    assert memory.of([subject], START) == [created, failed]
    later = Refusal(subject, failed.limit, None, START + 20)
    memory.remember(later, START + 9)
    assert memory.of([subject], START + 9) == [later]


def test_memory_drops_first_what_was_not_asked_for_the_longest() -> None:
    """Being asked for counts as a use."""
    memory: Recent[str, int] = Recent(2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)


def test_memory_drops_what_weighs_too_much_together() -> None:
    """A value in place of another counts alone, and what is forgotten does not count."""
    memory: Recent[str, int] = Recent(10, weigh=lambda value: value)
    memory.put("a", 4)
    memory.put("a", 5)
    memory.put("b", 5)
    assert (memory.get("a"), memory.get("b")) == (5, 5)
    memory.forget("a")
    memory.put("c", 4)
    memory.put("d", 1)
    assert len(memory) == 3
    memory.put("e", 11)
    assert len(memory) == 0
