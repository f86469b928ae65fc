"""What a revocation does where its second read of Face fails, or another function ends the session meanwhile."""

import asyncio
from typing import Any

import pytest

from create_session.use_case import CreateCommand, create_session
from revoke_session.use_case import revoke_session
from shared.errors import UpstreamFailure, UpstreamThrottled
from shared.events.cloud_event import COMPLETED
from shared.face.budget import Budget
from tests.collect_result.workshop import PHONE, SPOOF, Workshop
from tests.shared.face.doubles import CREATED, NOT_STARTED, REQUEST_ID, SESSION, SPEC, TOKEN, ScriptedFace
from tests.support.app import app_of
from tests.support.intercepted import Call, Effect
from tests.support.time import in_virtual_time


@pytest.fixture
def workshop() -> Workshop:
    """A broker over doubles, with the default settings."""
    return Workshop()


async def test_second_read_fails_the_same_call_again_finishes(workshop: Workshop) -> None:
    """The caller gets the error: the token still works at Face. A check that is made until then is not lost."""
    session_id = await workshop.created()

    async def around(call: Call, effect: Effect) -> Any:  # noqa: ANN401 - the answer of any port.
        if call.operation == "replace":
            workshop.face.fail("result", UpstreamFailure("down"))
            workshop.store.around = None
        return await effect()

    workshop.store.around = around
    with pytest.raises(UpstreamFailure):
        await workshop.revoke(session_id)
    assert (await workshop.record(session_id)).revoked
    assert workshop.face.deleted == []

    workshop.face.answer(session_id, SPOOF)
    for _ in range(2):
        await workshop.revoke(session_id)
    await workshop.run_queue()
    assert (workshop.face.deleted, workshop.published) == ([session_id], [COMPLETED])


async def test_session_that_was_deleted_meanwhile_is_not_deleted_again(workshop: Workshop) -> None:
    """The collector may do so while the revocation reads Face for the second time."""
    session_id = await workshop.created()
    gate = asyncio.Event()

    async def around(call: Call, effect: Effect) -> Any:  # noqa: ANN401 - the answer of any port.
        if call.operation == "replace":
            workshop.face.gate, workshop.store.around = gate, None
            workshop.face.arrived.clear()
        return await effect()

    workshop.store.around = around
    revoking = asyncio.create_task(workshop.revoke(session_id))
    await workshop.face.arrived.wait()
    workshop.face.gate = None
    await workshop.collect(session_id)
    gate.set()
    await revoking

    assert workshop.face.calls["delete"] == 1


@pytest.mark.parametrize("rate", [0.1, 0.3])
@in_virtual_time
async def test_session_is_revoked_at_the_time_that_the_refusal_named(rate: float) -> None:
    """Below one call a second only the first call to Face waits for its turn: the others belong to it."""
    now = asyncio.get_running_loop().time
    face = ScriptedFace((200, CREATED), (200, NOT_STARTED), (200, NOT_STARTED), (200, b""))
    app = app_of(face=face.client(budget=Budget(rate, monotonic=now)))
    await create_session(app, CreateCommand(SPEC, "a-device", None, PHONE, None, "", REQUEST_ID))

    with pytest.raises(UpstreamThrottled) as full:
        await revoke_session(app, SESSION, TOKEN, PHONE, REQUEST_ID)
    await asyncio.sleep(full.value.retry_after or 0)
    await revoke_session(app, SESSION, TOKEN, PHONE, REQUEST_ID)

    assert [request.method for request in face.requests] == ["POST", "GET", "GET", "DELETE"]
