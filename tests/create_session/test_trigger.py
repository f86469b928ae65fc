"""The trigger of a create: a late create is answered in time, and goes on."""

import asyncio
import json

import azure.functions as func

from create_session.trigger import trigger
from shared.app import install
from tests.support.app import app_of
from tests.support.fake_face import FakeFace
from tests.support.time import in_virtual_time


@in_virtual_time
async def test_late_create_is_answered_before_the_frame_would_cancel_it() -> None:
    """Face made its session after the answer: it is deleted there, which a cancelled create could not do."""
    face, loop = FakeFace(gate=asyncio.Event()), asyncio.get_running_loop()
    install(app_of(face=face))
    loop.call_later(12.0, face.gate.set)  # type: ignore[union-attr] # It was set above.
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": "a-device"}
    fields = {"Content-Type": "application/json"}
    response = await trigger(
        func.HttpRequest(
            "POST", "http://localhost/api/sessions", headers=fields, body=json.dumps(body).encode()
        )
    )

    assert (response.status_code, loop.time()) == (504, 9.5)
    await asyncio.sleep(60.0)
    assert face.deleted == list(face.specs)
    assert len(face.specs) == 1
