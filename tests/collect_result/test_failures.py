"""Checks that did not pass count against their device, once each, and create then refuses it; through HTTP."""

from contextlib import AbstractAsyncContextManager

import pytest

from shared.queues.message import CollectMessage, Reason
from tests.collect_result.draining import collect_all, collect_due, deliver, waiting_messages
from tests.support.broker import Broker, running_broker


def broker_of_few_failures(limit: str = "2/30m") -> AbstractAsyncContextManager[Broker]:
    """A broker that lets a device fail only so often."""
    return running_broker(THROTTLE_DEVICE="off", THROTTLE_FAILURES=limit)


async def checked(broker: Broker, device_id: str) -> str:
    """Perform a check, read its result as a phone does, and let the collector run."""
    session = await broker.created(device_id)
    await broker.perform(session)
    await broker.result(session)
    await collect_due(broker)
    broker.clock.advance_seconds(1)
    return str(session["sessionId"])


@pytest.mark.parametrize("device_id", ["sim-spoofface", "sim-uncertain", "sim-mask", "sim-unknown-decision"])
async def test_checks_that_did_not_pass_are_followed_by_a_refusal(device_id: str) -> None:
    """After as many as are allowed the device gets no session until the first one is old enough."""
    async with broker_of_few_failures() as broker:
        for _ in range(2):
            await checked(broker, device_id)

        refused = await broker.create(device_id)
        broker.clock.advance_seconds(30 * 60)
        later = await broker.create(device_id)

        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "DeviceThrottled")
        assert later.status_code == 200


async def test_message_delivered_many_times_charges_once() -> None:
    """A failure is entered by its own time: however often it is said, it is one."""
    async with broker_of_few_failures() as broker:
        session_id = await checked(broker, "sim-spoofface")
        for reason in Reason:
            for _ in range(5):
                await deliver(broker, CollectMessage(session_id, reason).to_text())

        assert (await broker.create("sim-spoofface")).status_code == 200


async def test_other_devices_are_not_touched() -> None:
    """A failure counts against the device that made it."""
    async with broker_of_few_failures() as broker:
        for _ in range(2):
            await checked(broker, "sim-spoofface")

        assert (await broker.create("sim-spoofface")).status_code == 429
        assert (await broker.create("another-device")).status_code == 200


@pytest.mark.parametrize("device_id", ["sim-realface", "sim-no-attempt", "sim-abandoned"])
async def test_check_that_passed_or_was_never_made_counts_for_nothing(device_id: str) -> None:
    """Only who was looked at and did not pass has failed."""
    async with broker_of_few_failures("1/d") as broker:
        session = await broker.created(device_id)
        await broker.perform(session)
        await collect_all(broker)

        assert (await broker.create(device_id)).status_code == 200


async def test_failure_counts_although_nobody_asked_for_it() -> None:
    """A phone that sees its check go wrong and does not come back is found by the sweep."""
    async with broker_of_few_failures("1/d") as broker:
        session = await broker.created("sim-spoofface")
        await broker.perform(session)
        await collect_all(broker)

        assert (await broker.create("sim-spoofface")).status_code == 429
        assert waiting_messages(broker) == []
