"""Which failed attempts are charged to device and caller, how often, and when."""

from dataclasses import replace

import pytest

from get_result.use_case import ResultQuery, get_result
from shared.errors import ClientThrottled, DeviceThrottled, StorageUnavailable
from shared.face.model import LivenessDecision, SessionResult, SessionStatus
from shared.queues.message import Reason
from tests.collect_result.workshop import MASKED, PHONE, REAL, SPOOF, STARTED, TOKEN, Workshop

UNCERTAIN = replace(SPOOF, decision=LivenessDecision.UNCERTAIN, decisions=((1, "uncertain"),))
STARTED_AFTER_SPOOF = replace(STARTED, attempts=2, decisions=((1, "spoofface"),))
UNKNOWN_DECISION = replace(MASKED, decisions=((1, "unknown"),))


@pytest.mark.parametrize(
    "result",
    [SPOOF, UNCERTAIN, UNKNOWN_DECISION, replace(REAL, decisions=((1, "spoofface"), (2, "realface")))],
    ids=["spoof", "uncertain", "unknown", "spoof, then a pass"],
)
async def test_device_and_caller_are_refused_after_failed_attempts(result: SessionResult) -> None:
    """Each one counts once, however often its message comes, until it is old enough."""
    workshop = Workshop(THROTTLE_DEVICE="off", THROTTLE_FAILURES="2/30m")
    for _ in range(2):
        session_id = await workshop.created(result)
        for reason in Reason:
            await workshop.collect(session_id, reason=reason)
        workshop.clock.advance_seconds(1)

    with pytest.raises(DeviceThrottled):
        await workshop.created()
    # The caller is refused too: a new device id does not help.
    with pytest.raises(ClientThrottled):
        await workshop.created(device="another-phone")
    workshop.clock.advance_seconds(30 * 60)
    await workshop.created()


async def test_failed_attempts_of_one_millisecond_are_all_charged() -> None:
    """Checks that were made side by side, and are read at once."""
    workshop = Workshop(THROTTLE_DEVICE="off", THROTTLE_REFERENCE="off", THROTTLE_FAILURES="5/30m")
    sessions = [await workshop.created(SPOOF) for _ in range(5)]
    for session_id in sessions:
        await workshop.collect(session_id)

    with pytest.raises(DeviceThrottled):
        await workshop.created()


@pytest.mark.parametrize("result", [REAL, MASKED], ids=["passed", "masked"])
async def test_attempt_that_decided_nothing_is_not_charged(result: SessionResult) -> None:
    """A mask is no attack."""
    workshop = Workshop(THROTTLE_DEVICE="off", THROTTLE_FAILURES="1/30m")
    await workshop.collect(await workshop.created(result))

    await workshop.created()


async def test_failed_attempt_is_charged_while_the_session_is_open() -> None:
    workshop = Workshop(THROTTLE_DEVICE="off", THROTTLE_FAILURES="1/30m")
    session_id = await workshop.created(STARTED_AFTER_SPOOF)
    await workshop.collect(session_id)

    assert (await workshop.app.sessions.reload(session_id)).record.status is SessionStatus.STARTED
    with pytest.raises(DeviceThrottled):
        await workshop.created()


async def test_charge_that_failed_is_made_by_the_next_poll() -> None:
    """Although that poll learns nothing new."""
    workshop = Workshop(THROTTLE_DEVICE="off", THROTTLE_FAILURES="1/30m", THROTTLE_RESULT="off")
    session_id = await workshop.created(STARTED_AFTER_SPOOF)
    query = ResultQuery(session_id, TOKEN, PHONE, "a-request")
    workshop.store.fail("write_together", StorageUnavailable("the store is down"))
    await get_result(workshop.app, query)
    await workshop.created()

    await get_result(workshop.app, query)

    with pytest.raises(DeviceThrottled):
        await workshop.created()
