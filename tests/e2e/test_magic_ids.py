"""What an app gets for each magic device id, as docs/simulator.md says."""

import asyncio
from typing import Any

import httpx
import pytest

from local.simulator.scenarios import SCENARIOS, Scenario
from shared.face.endpoint import API_VERSIONS
from tests.support.broker import Broker, running_broker

FREE: dict[str, Any] = dict.fromkeys(("THROTTLE_DEVICE", "THROTTLE_FAILURES", "THROTTLE_RESULT"), "off")
# Longer than the broker waits for Face, and shorter than it takes for a whole request.
PATIENCE_S = 9.0


async def _end_patience(seconds: float) -> None:
    """A slow answer of the simulator, for which nobody waits: the loop's time jumps over the deadline of the call."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + PATIENCE_S  # type: ignore[method-assign]
    await asyncio.sleep(seconds)


def _told(answer: httpx.Response) -> str:
    """An answer of the broker in the words of the table."""
    body = answer.json()
    if "error" in body:
        return f"{answer.status_code} `{body['error']['code']}`"
    words: list[Any] = [body["status"]]
    if body["status"] == "ResultAvailable":
        words += [f"passed: {str(body['passed']).lower()}", body["livenessDecision"]]
    if body["failure"]:
        words.append(f"failure: {body['failure']['code']}")
    if body["livenessDecision"] and not body["digestMatches"]:
        words.append(f"digestMatches: {'null' if body['digestMatches'] is None else 'false'}")
    if body["abuseDetected"]:
        words.append("abuseDetected: true")
    return ", ".join(f"`{word}`" for word in words if word)


async def _checked(broker: Broker, scenario: Scenario) -> str:
    """Do what the page says: read after an attempt that failed, and after the last one."""
    created = await broker.create(scenario.device_id)
    if created.status_code != 200:
        return _told(created)
    session, told = created.json(), list[str]()
    if scenario.call == "delete":
        return _told(await broker.revoke(session))
    for number in range(9):
        shown = await broker.perform(session)
        if number + 1 < len(scenario.attempts) and not shown.get("error"):
            continue
        digest = {"X-Client-Digest": shown["digest"]} if shown["digest"] else {}
        answer = await broker.result(session, **digest)
        # v1.2 gives the token away with each result.
        assert session["authToken"] not in answer.text
        told.append(_told(answer))
        if answer.json().get("status") != "Started" or not answer.json()["failure"]:
            break
    return "; after the last attempt ".join(dict.fromkeys(told))


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_each_magic_id_gives_the_app_what_the_table_says(version: str) -> None:
    """In each version of Face."""
    async with running_broker(FACE_API_VERSION=version, simulator_sleep=_end_patience, **FREE) as broker:
        broker.http.timeout = httpx.Timeout(None)
        slow = {each.device_id: each for each in SCENARIOS if each.fault.delay_s}
        together = {each.device_id: each for each in SCENARIOS if each.device_id not in slow}
        answers = await asyncio.gather(*(_checked(broker, each) for each in together.values()))
        told = dict(zip(together, answers, strict=True))
        told |= {device_id: await _checked(broker, each) for device_id, each in slow.items()}

    assert told == {each.device_id: each.app_gets_in.get(version, each.app_gets) for each in SCENARIOS}


@pytest.mark.parametrize("version", API_VERSIONS)
async def test_both_attempts_of_the_second_that_passes_can_be_made_before_the_read(version: str) -> None:
    """Also where a read between them would end the session, as the page says."""
    async with running_broker(FACE_API_VERSION=version, **FREE) as broker:
        session = await broker.created("sim-second-passes")
        await broker.perform(session)
        digest = {"X-Client-Digest": (await broker.perform(session))["digest"]}
        told = _told(await broker.result(session, **digest))

    assert told == "`ResultAvailable`, `passed: true`, `realface`"
