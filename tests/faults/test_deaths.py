"""A process is killed at work: each session ends with its event all the same.

The state machines of create_session and collect_result crash at each call and in every order. Here the processes, their
connections and Azurite are real.
"""

import random
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.idempotency import LEASE_MS
from shared.sessions.record import SessionRecord
from tests.faults.deaths import ANY_CALL, Death
from tests.faults.scene import Scene, running_scene
from tests.faults.worker import command_of
from tests.support.azurite import Azurite
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("deaths")]

KILLED = -signal.SIGKILL
# The call that ends each step of a create.
CREATING = {
    "key claimed": "idempotency.insert",
    "device charged": "throttle.write_together",
    "upstream session created": "face.create",
    "message sent": "queue.send",
    "record written": "sessions.insert",
    "answer stored": "idempotency.replace",
}
UNKNOWN_TO_ALL = (("after", "face.create"), ("before", "queue.send"))
"""The deaths in a create after which only Face has the session."""
DECISIONS = {
    "sim-realface": "realface",
    "sim-spoofface": "spoofface",
    "sim-uncertain": "uncertain",
    "sim-mask": None,
    "sim-no-attempt": None,
}
FAILED = ("sim-spoofface", "sim-uncertain")
DEATHS = 7 if SOAK else 2
"""In the long form, one less than the deliveries after which the host gives a message up."""


@pytest.fixture(scope="module")
def own_azurite() -> Iterator[Azurite]:
    """An Azurite whose queue no other test uses."""
    with Azurite() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def scene(own_azurite: Azurite, tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_scene(own_azurite, tmp_path) as running:
        yield running


@pytest.mark.parametrize("step", CREATING)
async def test_broker_killed_in_a_create_leaves_nothing_behind(scene: Scene, step: str) -> None:
    """The phone asks again and gets a session; a session that it did not get ends too.

    Only a session that Face created just before the death, before anything was written, is unknown to the broker. It
    cannot be used, and Face forgets it after 48 hours.
    """
    deaths = [Death("after", CREATING[step]), Death("before", CREATING[step])]
    session_ids = set()
    for death in deaths:
        device_id, key = a_device("sim-realface"), secrets.token_hex(16)
        assert await scene.run(command_of(device_id, key), death) == KILLED
        scene.clock.advance_seconds(LEASE_MS / 1000 + 1)
        session = await scene.created(device_id, key)
        assert await scene.perform(session)
        session_ids.add(session.session_id)
    scene.let_tokens_end()
    assert await scene.run() == 0

    for session_id in session_ids:
        await scene.require_ended(session_id, "realface")
    for other in scene.simulator.sessions:
        if await scene.record(other.session_id) and other.session_id not in session_ids:
            await scene.require_ended(other.session_id, None)
    unknown = [death for death in deaths if (death.moment, death.call) in UNKNOWN_TO_ALL]
    assert len([upstream for upstream in scene.simulator.sessions if not upstream.deleted]) == len(unknown)
    assert await scene.messages() == (0, 0)


@pytest.mark.parametrize("seed", range(30 if SOAK else 3))
async def test_worker_killed_again_and_again_at_any_call_every_session_ends(scene: Scene, seed: int) -> None:
    """With sessions of all outcomes, some with two messages: a decision stays, and its event is published."""
    chance = random.Random(seed)  # noqa: S311 - the choice of a case, not a secret.
    sessions = {
        (device_id := a_device(scenario)): await scene.created(device_id) for scenario in [*DECISIONS] * 2
    }
    for session in sessions.values():
        await scene.perform(session)
    for session in chance.sample(list(sessions.values()), 5):
        await scene.poll(session)
    scene.let_tokens_end()

    decided: dict[str, SessionRecord] = {}
    for number in range(DEATHS):
        # The first death certainly comes before the work is done.
        death = Death(chance.choice(("before", "after")), ANY_CALL, chance.randint(1, 60 if number else 30))
        ended = await scene.run(None, death)
        assert ended == KILLED if number == 0 else ended in (KILLED, 0)
        for device_id, session in sessions.items():
            record = await scene.record(session.session_id)
            assert record
            assert_kept(decided.get(device_id, record), record)
            decided[device_id] = record
    assert await scene.run() == 0

    for device_id, session in sessions.items():
        scenario = device_id.partition(".")[0]
        record = await scene.require_ended(session.session_id, DECISIONS[scenario])
        assert_kept(decided[device_id], record)
        assert await scene.failures_charged(device_id) == (scenario in FAILED)
    assert await scene.messages() == (0, 0)


def a_device(scenario: str) -> str:
    """Make up a new device for a scenario of the simulator."""
    return f"{scenario}.{secrets.token_hex(4)}"


def assert_kept(before: SessionRecord, after: SessionRecord) -> None:
    """Assert that a final record never changed."""
    if before.final:
        assert (before.status, before.decision, before.digest) == (after.status, after.decision, after.digest)
        assert (before.completed_at, before.failure) == (after.completed_at, after.failure)
