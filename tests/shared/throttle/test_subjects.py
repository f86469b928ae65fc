"""Which limits a request counts against, and under which keys."""

import pytest

from shared.errors import ClientThrottled, DeviceThrottled
from shared.pseudonyms import Pseudonyms
from shared.settings import Settings
from shared.throttle.limiter import Subject
from shared.throttle.subjects import Subjects
from tests.support.broker import environment


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    async def pepper() -> bytes:
        return b"pepper"

    return Pseudonyms(pepper)


def subjects(pseudonyms: Pseudonyms, **settings: str) -> Subjects:
    return Subjects(Settings.from_mapping(environment("http://127.0.0.1:9", **settings)), pseudonyms)


def described(subject: Subject) -> tuple[str, type, list[tuple[str, str, str, bool]]]:
    """Return the kind of a key, the error, and the limits of a subject."""
    limits = [(limit.name, str(limit.policy), limit.log, limit.charged) for limit in subject.limits]
    return subject.key.partition("-")[0], subject.refusal, limits


async def test_create_counts_against_device_caller_and_address(pseudonyms: Pseudonyms) -> None:
    """The defaults; the failures of a device are only looked at."""
    found = await subjects(pseudonyms).of_create("d1", "caller", "192.0.2.1")
    assert [described(subject) for subject in found] == [
        (
            "device",
            DeviceThrottled,
            [("device", "5/10m, 20/d", "created", True), ("failures", "5/30m", "failed", False)],
        ),
        ("principal", ClientThrottled, [("principal", "10/10m", "created", True)]),
        ("client", ClientThrottled, [("client", "60/10m", "called", True)]),
    ]
    assert found[0].key == "device-d1"


async def test_create_of_an_unknown_caller_counts_against_the_device_alone(pseudonyms: Pseudonyms) -> None:
    """Without a signed-in caller and an address, the other limits count nobody."""
    [device] = await subjects(pseudonyms).of_create("d1", None, None)
    assert device.key == "device-d1"


async def test_miss_shares_the_limit_of_its_address(pseudonyms: Pseudonyms) -> None:
    """A miss and a create of one address have one row; without an address a miss is not limited."""
    made = subjects(pseudonyms, THROTTLE_CLIENT="7/m")
    [miss] = await made.of_miss("192.0.2.1")
    assert miss == (await made.of_create("d1", None, "192.0.2.1"))[1]
    assert str(miss.limits[0].policy) == "7/m"
    assert await made.of_miss(None) == []


async def test_keys_hold_pseudonyms(pseudonyms: Pseudonyms) -> None:
    """Neither the caller nor the address is in a key."""
    found = await subjects(pseudonyms).of_create("d1", "caller", "192.0.2.1")
    keys = [subject.key for subject in found[1:]]
    assert keys == [
        f"principal-{await pseudonyms.of('principal', 'caller')}",
        f"client-{await pseudonyms.of('client', '192.0.2.1')}",
    ]


async def test_failure_is_entered_in_the_row_of_the_device(pseudonyms: Pseudonyms) -> None:
    """A create looks at the same limit."""
    made = subjects(pseudonyms)
    [device] = await made.of_create("d1", None, None)
    assert made.of_failure("d1") == (device.key, device.limits[1])
