"""A process is killed between any two steps: each session ends with its event all the same."""

import random
import secrets
import signal
from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from _pytest.mark.structures import ParameterSet

from create_session.use_case import Created
from shared.idempotency import LEASE_MS
from shared.sessions.record import SessionRecord
from tests.faults.deaths import ANY_CALL, Death, Moment
from tests.faults.scene import Scene
from tests.faults.worker import Task
from tests.support.processes import SOAK

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("deaths")]

KILLED = -signal.SIGKILL
MOMENTS: tuple[Moment, ...] = ("after", "before", "before", "after") if SOAK else ("after", "before")
"""When processes die at each call, one after the other, each at work on its own session."""
TIMES = 5 if SOAK else 1

FAILURE_CHARGED = ("throttle.write_together", 2)
"""The first write loses: a new process does not have the row in its cache."""
# The steps of each task in their order, and the call (with its number) that ends each step.
COLLECTING = {
    "message taken": ("message.take", 1),
    "upstream read": ("face.result", 1),
    "outcome written": ("sessions.replace", 1),
    "outcome settled": ("sessions.replace", 2),
    "failure charged": FAILURE_CHARGED,
    "event published": ("publisher.publish", 1),
    "publication marked": ("sessions.replace", 3),
    "upstream deleted": ("face.delete", 1),
    "deletion marked": ("sessions.replace", 4),
    "message removed": ("message.remove", 1),
}
CREATING = {
    "key claimed": ("idempotency.insert", 1),
    "device charged": ("throttle.write_together", 1),
    "upstream session created": ("face.create", 1),
    "message sent": ("queue.send", 1),
    "record written": ("sessions.insert", 1),
    "answer stored": ("idempotency.replace", 1),
}
UNKNOWN_TO_ALL = (("after", "face.create"), ("before", "queue.send"))
"""The deaths in a create after which only Face has the session."""
POLLING = {
    "read noted": ("sessions.replace", 1),
    "upstream read": ("face.result", 1),
    "outcome written": ("sessions.replace", 2),
    "failure charged": FAILURE_CHARGED,
    "message sent": ("queue.send", 1),
}
REVOKING = {
    "upstream read": ("face.result", 1),
    "outcome written": ("sessions.replace", 1),
    "revocation written": ("sessions.replace", 2),
    "failure charged": FAILURE_CHARGED,
    "message sent": ("queue.send", 1),
    "upstream deleted": ("face.delete", 1),
    "deletion marked": ("sessions.replace", 3),
}
PUTTING_BACK = {
    "started noted": ("sessions.replace", 1),
    "message sent again": ("queue.send", 1),
    "old message removed": ("message.remove", 1),
}
DECISIONS = {
    "sim-realface": "realface",
    "sim-spoofface": "spoofface",
    "sim-uncertain": "uncertain",
    "sim-mask": None,
    "sim-no-attempt": None,
}
OUTCOMES = tuple(DECISIONS)
FAILED = ("sim-spoofface", "sim-uncertain")
DEATHS = 7 if SOAK else 2
"""In the long form, one less than the deliveries after which the host gives a message up."""

Deaths = Sequence[Death]


def at_each_step(steps: Mapping[str, tuple[str, int]], *others: str) -> list[ParameterSet]:
    """Make the parameters of a test: others, and the deaths before and after each step."""
    return [
        pytest.param(*others, [Death(moment, *step) for moment in MOMENTS], id=" ".join([*others, name]))
        for (name, step), _ in product(steps.items(), range(TIMES))
    ]


@pytest.mark.parametrize(
    ("task", "deaths"),
    [
        *at_each_step(COLLECTING, "collect"),
        *at_each_step(POLLING, "poll"),
        *at_each_step(REVOKING, "revoke"),
    ],
)
async def test_process_killed_at_work_on_a_session_it_ends_with_one_event_id(
    scene: Scene, task: Task, deaths: Deaths
) -> None:
    """The next worker neither undoes nor changes what the dead process did. The check is charged, and has its event."""
    sessions: dict[str, Created] = {}
    for death in deaths:
        device_id = a_device("sim-spoofface")
        sessions[device_id] = session = await scene.created(device_id)
        assert await scene.perform(session)
        assert await scene.run(task, death, session.session_id, session.auth_token) == KILLED
    between = {device_id: await scene.record(session.session_id) for device_id, session in sessions.items()}
    # Face would have another result now, if it still has the session.
    performed = {
        device_id: task == "collect" and await scene.perform(session, "realface")
        for device_id, session in sessions.items()
    }
    scene.let_tokens_end()
    assert await scene.run("collect") == 0

    for device_id, session in sessions.items():
        before = between[device_id]
        assert before is not None
        decision = "realface" if performed[device_id] and not before.final else "spoofface"
        record = await scene.require_ended(session.session_id, decision)
        assert_kept(before, record)
        # Whatever its outcome, one attempt failed.
        assert await scene.failures_charged(device_id) == 1
    assert await scene.messages() == (0, 0)


@pytest.mark.parametrize("deaths", at_each_step(CREATING))
async def test_broker_killed_in_a_create_leaves_nothing_behind(scene: Scene, deaths: Deaths) -> None:
    """The phone asks again and gets a session; a session that it did not get ends too.

    Only a session that Face created just before the death, before anything was written, is unknown to the broker. It
    cannot be used, and Face forgets it after 48 hours.
    """
    session_ids = set()
    for death in deaths:
        device_id, key = a_device("sim-realface"), secrets.token_hex(16)
        assert await scene.run("create", death, device_id, key) == KILLED
        scene.clock.advance_seconds(LEASE_MS / 1000 + 1)
        session = await scene.created(device_id, key)
        assert await scene.perform(session)
        session_ids.add(session.session_id)
    scene.let_tokens_end()
    assert await scene.run("collect") == 0

    for session_id in session_ids:
        await scene.require_ended(session_id, "realface")
    for other in scene.simulator.sessions:
        if await scene.record(other.session_id) and other.session_id not in session_ids:
            await scene.require_ended(other.session_id, None)
    unknown = [death for death in deaths if (death.moment, death.call) in UNKNOWN_TO_ALL]
    assert len([upstream for upstream in scene.simulator.sessions if not upstream.deleted]) == len(unknown)
    assert await scene.messages() == (0, 0)


@pytest.mark.parametrize("deaths", at_each_step(PUTTING_BACK))
async def test_worker_killed_while_it_puts_a_message_back_session_ends_once(
    scene: Scene, deaths: Deaths
) -> None:
    """Two messages for a session lead to the same end as one."""
    sessions = []
    for death in deaths:
        sessions.append(session := await scene.created(a_device("sim-abandoned")))
        assert await scene.perform(session)
        assert await scene.run("collect", death) == KILLED
    for session in sessions:
        assert await scene.perform(session, "uncertain")
    assert await scene.run("collect") == 0

    for session in sessions:
        await scene.require_ended(session.session_id, "uncertain")
    assert await scene.messages() == (0, 0)


@pytest.mark.parametrize("seed", range(30 if SOAK else 1))
async def test_worker_killed_again_and_again_at_any_call_every_session_ends(scene: Scene, seed: int) -> None:
    """With sessions of all outcomes, some with two messages: a decision stays, and its event is published."""
    chance = random.Random(seed)  # noqa: S311 - the choice of a case, not a secret.
    sessions = {
        (device_id := a_device(scenario)): await scene.created(device_id) for scenario in OUTCOMES * 2
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
        ended = await scene.run("collect", death)
        assert ended == KILLED if number == 0 else ended in (KILLED, 0)
        for device_id, session in sessions.items():
            record = await scene.record(session.session_id)
            assert record
            assert_kept(decided.get(device_id, record), record)
            decided[device_id] = record
    assert await scene.run("collect") == 0

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
