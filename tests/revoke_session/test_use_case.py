"""What a revocation does where its second read of Face fails, or another function ends the session meanwhile."""

import asyncio
from typing import Any

import pytest

from revoke_session.use_case import revoke_session
from shared.errors import UpstreamFailure
from shared.events.cloud_event import COMPLETED
from tests.collect_result.workshop import PHONE, SPOOF, TOKEN, Workshop
from tests.support.intercepted import Call, Effect


@pytest.fixture
def workshop() -> Workshop:
    """A broker over doubles, with the default settings."""
    return Workshop()


async def revoke(workshop: Workshop, session_id: str) -> None:
    await revoke_session(workshop.app, session_id, TOKEN, PHONE, "a-request")


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
        await revoke(workshop, session_id)
    assert (await workshop.app.sessions.reload(session_id)).record.revoked
    assert workshop.face.deleted == []

    workshop.face.answer(session_id, SPOOF)
    for _ in range(2):
        await revoke(workshop, session_id)
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
    revoking = asyncio.create_task(revoke(workshop, session_id))
    await workshop.face.arrived.wait()
    workshop.face.gate = None
    await workshop.collect(session_id)
    gate.set()
    await revoking

    assert workshop.face.calls["delete"] == 1
