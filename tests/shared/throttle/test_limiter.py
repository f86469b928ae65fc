"""The limiter over one store: decisions, charges, refunds, and what each costs."""

import asyncio
import gc
import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ClientThrottled, DeviceThrottled, StorageUnavailable
from shared.throttle import Admission, Charge, Limit, Limiter, Subject
from tests.shared.throttle.doubles import (
    CLIENT,
    DEVICE,
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
from tests.support.time import run_in_virtual_time, virtual_clock

MINUTE = 60_000


async def test_new_device_is_charged_in_one_read_and_one_write() -> None:
    """A request with three rows that nobody knows takes two round trips."""
    store, time = FakeStore(), VirtualTime()
    admission = await limiter(store, time).admit([device(), client("b"), client("c")])
    assert admission.charges == (
        Charge("device-a", "created", START),
        Charge("client-b", "created", START),
        Charge("client-c", "created", START),
    )
    assert (store.trips, store.gets, store.writes) == (2, 3, 1)
    assert store.log("device-a") == store.log("client-b") == (START,)
    assert store.log("device-a", "failed") == ()


async def test_known_device_is_charged_in_one_write() -> None:
    """The row that this instance wrote last is still known, with its etag."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device(), client()])
    before = store.calls
    time.now += 1000
    await throttle.admit([device(), client()])
    assert store.calls - before == 1
    assert store.log("device-a") == (START, START + 1000)


async def test_admission_tells_what_is_left_to_the_device_alone() -> None:
    """The charge is counted already; neither failures nor the address are mentioned."""
    throttle = limiter(FakeStore(), VirtualTime())
    admission = await throttle.admit([client(), device()])
    assert admission.rate_limit == {
        "RateLimit-Policy": '"device-10m";q=5;w=600, "device-1d";q=20;w=86400',
        "RateLimit": '"device-10m";r=4;t=600',
    }


@pytest.mark.parametrize(
    "subjects",
    [[], [device("a", limit("off")), client("a", limit("off"))]],
    ids=["nobody", "limits-off"],
)
async def test_request_without_limits_costs_nothing(subjects: list[Subject]) -> None:
    """It is admitted without a look at the store, and says nothing of limits."""
    store = FakeStore()
    assert await limiter(store, VirtualTime()).admit(subjects) == Admission()
    assert store.calls == 0


async def test_limit_that_is_off_leaves_the_others_of_its_subject() -> None:
    """Each limit has a switch of its own."""
    store = FakeStore()
    admission = await limiter(store, VirtualTime()).admit([device("a", limit("off"), FAILURES), client()])
    assert admission.charges == (Charge("client-a", "created", START),)
    assert admission.rate_limit == {}


async def test_used_up_device_is_refused_until_exactly_the_end() -> None:
    """One millisecond before the time that it was told, it is refused; then it is admitted."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    for _ in range(5):
        await throttle.admit([device()])
        time.now += 1000
    with pytest.raises(DeviceThrottled) as caught:
        await throttle.admit([device()])
    assert caught.value.retry_after == 595.0
    assert caught.value.rate_limit["RateLimit"] == '"device-10m";r=0;t=595'
    assert caught.value.detail == "limit device"
    time.now += 594_999
    with pytest.raises(DeviceThrottled) as caught:
        await throttle.admit([device()])
    assert caught.value.retry_after == 0.001
    assert caught.value.rate_limit["RateLimit"] == '"device-10m";r=0;t=1'
    time.now += 1
    assert isinstance(await throttle.admit([device()]), Admission)


async def test_request_too_much_for_several_limits_is_refused_by_the_longest_wait() -> None:
    """Coming back earlier would be in vain."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    subjects = [device("a", limit("1/m")), client("a", limit("1/h", "client"))]
    await throttle.admit(subjects)
    with pytest.raises(ClientThrottled) as caught:
        await throttle.admit(subjects)
    assert caught.value.retry_after == 3600.0
    assert caught.value.detail == "limit client"


async def test_refusal_of_a_shared_limit_tells_the_policy_of_the_device_but_no_state() -> None:
    """Who is refused for free could otherwise go on asking for the state of any device."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    address = client("a", limit("1/h", "client"))
    await throttle.admit([device("a"), address])
    for _ in range(2):  # Freshly decided, and remembered.
        with pytest.raises(ClientThrottled) as caught:
            await throttle.admit([device("b"), address])
        assert caught.value.rate_limit == {
            "RateLimit-Policy": '"device-10m";q=5;w=600, "device-1d";q=20;w=86400'
        }


@given(st.integers(1, 100_000_000), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_jitter_is_a_little_and_never_early(age: int, chance: float) -> None:
    """It is at most a tenth of the wait, and at most five seconds."""

    async def refused() -> float:
        store, time = FakeStore(), VirtualTime()
        throttle = Limiter(store, time, random=lambda: chance, sleep=time.sleep)
        month = device("a", limit("1/31d"))
        await throttle.admit([month])
        time.now += age
        with pytest.raises(DeviceThrottled) as caught:
            await throttle.admit([month])
        return caught.value.retry_after

    wait = (31 * 86_400_000 - age) / 1000
    assert wait <= asyncio.run(refused()) <= wait + min(wait / 10, 5)


async def test_failures_are_entered_whatever_the_log_says_and_refuse_a_create() -> None:
    """The collector reports checks that did not pass; the sixth is entered like the others."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    for _ in range(6):
        time.now += 1000
        await throttle.charge("device-a", FAILURES, time.now)
    assert store.log("device-a", "failed") == tuple(START + 1000 * step for step in range(2, 7))
    with pytest.raises(DeviceThrottled) as caught:
        await throttle.admit([device()])
    assert caught.value.retry_after == 1796.0
    assert caught.value.rate_limit["RateLimit"] == '"device-10m";r=5'
    assert store.log("device-a") == ()


async def test_failure_that_is_told_twice_is_entered_once() -> None:
    """A message that is delivered again, in any order, charges nothing again, and the log stays sorted."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    for at in (START, START - 5000, START, START - 5000, START - 1):
        await throttle.charge("device-a", FAILURES, at)
    assert store.log("device-a", "failed") == (START - 5000, START - 1, START)


async def test_failure_of_long_ago_leaves_no_row() -> None:
    """What cannot matter any more is not entered."""
    store = FakeStore()
    await limiter(store, VirtualTime()).charge("device-a", FAILURES, START - 1_800_000)
    assert store.content == {}


async def test_failure_of_a_limit_that_is_off_is_not_entered() -> None:
    """Nothing is stored for what nobody asks."""
    store = FakeStore()
    await limiter(store, VirtualTime()).charge("device-a", limit("off"), START)
    assert store.calls == 0


async def test_row_expires_with_the_last_log_that_means_something() -> None:
    """The retention job may delete it then, and not before."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device()])
    await throttle.charge("device-a", FAILURES, time.now)
    row, _ = store.content["device-a"]
    assert row.expires_at == START + 86_400_000


async def test_limit_that_is_only_looked_at_is_read_afresh() -> None:
    """What another instance entered counts, though this one knows the row and writes nothing to it."""
    store, time = FakeStore(), VirtualTime()
    here, there = limiter(store, time), limiter(store, time)
    await there.charge("device-a", FAILURES, START)
    assert (await here.admit([device("a", FAILURES)])).charges == ()
    for number in range(1, 5):
        await there.charge("device-a", FAILURES, START - number)
    with pytest.raises(DeviceThrottled):
        await here.admit([device("a", FAILURES)])


async def test_admission_elsewhere_is_seen_though_the_row_is_known() -> None:
    """The etag guards what a known row says: the last place is given once."""
    store, time = FakeStore(), VirtualTime()
    here, there = limiter(store, time), limiter(store, time)
    for _ in range(2):
        await here.admit([device()])
        await there.admit([device()])
    await here.admit([device()])
    with pytest.raises(DeviceThrottled):
        await there.admit([device()])
    assert len(store.log("device-a")) == 5


async def test_refund_elsewhere_is_seen_before_a_refusal() -> None:
    """A known row that says no is read again before anybody is told so."""
    store, time = FakeStore(), VirtualTime()
    here, there = limiter(store, time), limiter(store, time)
    admission = await there.admit([device()])
    for _ in range(4):
        await here.admit([device()])
    await there.refund(admission)
    assert isinstance(await here.admit([device()]), Admission)


async def test_row_that_was_deleted_is_written_anew() -> None:
    """The retention job may have been there since this instance wrote."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device()])
    time.now += 86_400_000
    store.remove("device-a")
    await throttle.admit([device()])
    assert store.log("device-a") == (time.now,)


async def test_lost_races_are_tried_again_after_a_growing_pause() -> None:
    """Each time the rows are read again; nothing is charged twice."""
    store, time = FakeStore(), VirtualTime()
    throttle = Limiter(store, time, random=lambda: 1.0, sleep=time.sleep)
    store.lost_races = 7
    await throttle.admit([device(), client()])
    assert time.slept == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5]
    assert store.writes == 8
    assert store.log("device-a") == (START,)


@pytest.mark.parametrize("known", [False, True], ids=["reading", "writing"])
async def test_failing_store_passes_through_and_is_asked_again(known: bool) -> None:
    """Nothing is admitted while nobody knows; afterwards all is as before."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    if known:
        await throttle.admit([device()])
    store.failing = StorageUnavailable("down", retry_after=3.0)
    with pytest.raises(StorageUnavailable) as caught:
        await throttle.admit([device()])
    assert (caught.value.detail, caught.value.retry_after) == ("down", 3.0)
    store.failing = None
    await throttle.admit([device()])
    assert len(store.log("device-a")) == 1 + known


async def test_write_that_failed_after_its_effect_is_counted() -> None:
    """The row is read again: what the store holds decides, not what this instance believes."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)

    async def lose_the_answer() -> None:
        raise StorageUnavailable("no answer")

    store.after_write = lose_the_answer
    with pytest.raises(StorageUnavailable):
        await throttle.admit([device()])
    store.after_write = None
    admission = await throttle.admit([device()])
    assert admission.rate_limit["RateLimit"] == '"device-10m";r=3;t=600'


async def test_row_with_unknown_content_is_never_taken_for_an_empty_one() -> None:
    """That would admit whoever has used up a limit."""
    store = FakeStore()
    store.put("device-a", created="v2:1,2,3")
    with pytest.raises(StorageUnavailable):
        await limiter(store, VirtualTime()).admit([device()])
    assert store.writes == 0


async def test_row_that_cannot_be_read_leaves_no_other_read_behind() -> None:
    """The request ends when all of its reads have, so that nothing runs on after its answer."""
    delays = iter([0, 0, 9])
    store = FakeStore(lambda: next(delays, 0))
    store.put("device-a", created="?")
    refusal = await attempt(limiter(store, VirtualTime()), device(), client())
    assert isinstance(refusal, StorageUnavailable)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_refund_takes_exactly_its_charge_back() -> None:
    """What came before and after stays, in each row."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    stamps = []
    admissions = []
    for _ in range(3):
        time.now += 1000
        stamps.append(time.now)
        admissions.append(await throttle.admit([device(), client()]))
    await throttle.refund(admissions[1])
    assert store.log("device-a") == store.log("client-a") == (stamps[0], stamps[2])


async def test_refund_makes_room_at_once_where_the_refusal_was_remembered() -> None:
    """What this instance remembers of the refunded rows is forgotten."""
    throttle = limiter(FakeStore(), VirtualTime())
    admission = await throttle.admit([device("a", limit("1/m"))])
    assert isinstance(await attempt(throttle, device("a", limit("1/m"))), DeviceThrottled)
    await throttle.refund(admission)
    assert isinstance(await attempt(throttle, device("a", limit("1/m"))), Admission)


async def test_refund_survives_lost_races() -> None:
    """It is tried again on what the row is now."""
    store, time = FakeStore(), VirtualTime()
    here, there = limiter(store, time), limiter(store, time)
    admission = await here.admit([device()])
    time.now += 5
    await there.admit([device()])
    store.lost_races = 2
    await here.refund(admission)
    assert store.log("device-a") == (START + 5,)


async def test_refund_that_fails_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    """The request that it belongs to has an answer of its own to give; no key is in the log."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    admission = await throttle.admit([device()])
    store.failing = StorageUnavailable("down")
    await throttle.refund(admission)
    assert [record.getMessage() for record in caplog.records] == [
        '{"event": "throttle_refund_failed", "detail": "down"}'
    ]
    store.failing = None
    assert store.log("device-a") == (START,)


async def test_refund_of_what_is_gone_brings_no_row_back() -> None:
    """The row may have expired, and a request without limits was charged nothing."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    admission = await throttle.admit([device()])
    store.remove("device-a")
    await throttle.refund(admission)
    await throttle.refund(Admission())
    assert store.content == {}


async def test_two_subjects_with_one_key_are_refused() -> None:
    """One row cannot be two identities."""
    with pytest.raises(ValueError, match="different keys"):
        await limiter(FakeStore(), VirtualTime()).admit([device(), device()])


def test_two_limits_in_one_log_are_refused() -> None:
    """One entry cannot be trimmed for two policies."""
    with pytest.raises(ValueError, match="a log of its own"):
        device("a", DEVICE, CLIENT)


@pytest.mark.parametrize(
    ("name", "log"), [("", "created"), ("Device", "created"), ("device", "x-y"), ("device", "a" * 33)]
)
def test_limit_with_an_unfit_name_is_refused(name: str, log: str) -> None:
    """Names go into header fields and table columns as they are."""
    with pytest.raises(ValueError, match="1 to 32 letters"):
        Limit(name, DEVICE.policy, log, charged=True)


async def test_few_known_rows_cost_reads_but_stay_exact() -> None:
    """What does not fit in the memory of rows is read again."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time, known=6)
    for name in "ab" * 6:
        await attempt(throttle, device(name, limit("5/m")))
    assert len(store.log("device-a")) == len(store.log("device-b")) == 5


@given(st.integers(0, 2**32), st.integers(20, 60))
@settings(deadline=None, max_examples=60)
def test_refused_request_leaves_every_row_as_it_was(seed: int, requests: int) -> None:
    """Together or not at all: a refusal by any limit charges none, to the byte and the etag."""

    async def flood() -> None:
        chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
        store, time = FakeStore(lambda: 0), VirtualTime()
        limiters = [limiter(store, time), limiter(store, time, refused=0)]
        for _ in range(requests):
            time.now += chance.randrange(20_000)
            subjects = [
                device(chance.choice("abc"), limit("2/m, 5/10m"), FAILURES),
                client(chance.choice("ab"), limit("3/m", "client")),
                client("shared", limit("7/2m", "principal")),
            ]
            before = store.content
            outcome = await attempt(chance.choice(limiters), *chance.sample(subjects, chance.randint(1, 3)))
            if not isinstance(outcome, Admission):
                assert store.content == before

    asyncio.run(flood())


async def test_refund_goes_before_those_who_wait_with_it() -> None:
    """Nobody is refused for a charge that is taken back in the same write."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    minute = device("a", limit("2/m"))
    admission = await throttle.admit([minute])
    outcomes = await asyncio.gather(
        *(attempt(throttle, minute, client(str(number))) for number in range(3)), throttle.refund(admission)
    )
    assert [type(outcome) for outcome in outcomes[:3]] == [Admission, Admission, DeviceThrottled]


@pytest.mark.parametrize(("pause", "gets"), [(1_999, 0), (2_000, 2), (-1, 2)])
async def test_row_is_read_again_before_it_is_written_after_two_seconds(pause: int, gets: int) -> None:
    """By then another instance may well have written it, and a lost write costs more than a read."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    await throttle.admit([device(), client()])
    before = store.gets
    time.now += pause
    await throttle.admit([device(), client()])
    assert store.gets - before == gets


@pytest.mark.parametrize("seed", range(3))
def test_address_that_instances_share_costs_hardly_more_than_a_read_of_each_row_and_a_write(
    seed: int,
) -> None:
    """Five hundred creates on eight instances, one a second: the shared row is never where it was left."""
    chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
    address = client("a", limit("1000/10m", "client"))

    async def office() -> int:
        store = FakeStore(lambda: 0)
        throttles = [Limiter(store, virtual_clock, random=chance.random) for _ in range(8)]
        for _ in range(500):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            caller = device(str(chance.randrange(50)), limit("100/10m"))
            await chance.choice(throttles).admit([caller, address])
        return store.calls

    assert run_in_virtual_time(office()) / 500 < 3.3


async def test_memory_of_long_logs_is_bounded_in_bytes() -> None:
    """Five hundred subjects with a thousand admissions each are refused, and hardly anything of them is kept."""
    store, time = FakeStore(lambda: 0), VirtualTime()
    throttle = limiter(store, time)
    log = f"{START:x}" + ".1" * 999
    subjects = [client(str(number), limit("1000/10m", "client")) for number in range(500)]
    for subject in subjects:
        store.put(subject.key, created=log)

    tracemalloc.start()
    for subject in subjects:
        assert isinstance(await attempt(throttle, subject), ClientThrottled)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # All of the logs would be some 20 MB.
    assert held < 6_000_000
    before = store.calls
    assert isinstance(await attempt(throttle, subjects[0]), ClientThrottled)
    assert store.calls == before


async def test_refused_newcomers_do_not_drive_out_known_rows() -> None:
    """Ids made up by a caller that is refused anyway cost the others nothing."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time, known=4, refused=0)
    address = client("a", limit("1/m", "client"))
    await throttle.admit([device(), address])
    for name in "bcd":
        assert isinstance(await attempt(throttle, device(name), address), ClientThrottled)
    before = store.gets
    await throttle.admit([device()])
    assert store.gets == before


async def test_row_written_by_an_instance_whose_clock_is_behind_expires_late_enough() -> None:
    """The entry is stamped like the newest, and matters as long."""
    store, time = FakeStore(), VirtualTime()
    throttle = limiter(store, time)
    minute = device("a", limit("5/m"))
    await throttle.admit([minute])
    store.put("device-a", created=f"{START + 7000:x}")
    await throttle.admit([minute])
    assert store.log("device-a") == (START + 7000, START + 7000)
    assert store.content["device-a"][0].expires_at == START + 67_000
