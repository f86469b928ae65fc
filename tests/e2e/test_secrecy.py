"""Nothing secret shows anywhere: canaries through every path, everything logged, all output searched."""

import logging

import httpx
import pytest

from tests.support import broker as support
from tests.support.broker import Broker, running_broker

DEVICE = "canary-device-7f3a"
REFERENCE = "canary-reference-91c2"
WRONG_TOKEN = "canary-wrong-token-55d0"
IDEMPOTENCY_KEY = "canary-idempotency-key-8b"
PEPPER = "canary-pepper-c0ffee"


async def _drive(broker: Broker) -> tuple[list[str], list[str]]:
    """Send what succeeds and what fails; returns the tokens, and the other answers with their headers."""
    seen: list[httpx.Response] = []
    tokens: list[str] = []
    note, post = seen.append, broker.http.post
    headers = {"Idempotency-Key": IDEMPOTENCY_KEY}
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": DEVICE, "clientReference": REFERENCE}
    session = (await post("/api/sessions", json=body, headers=headers)).json()
    tokens.append(session["authToken"])
    note(await post("/api/sessions", json=body | {"x": DEVICE}, headers=headers))
    note(await post("/api/sessions", json=body | {"clientReference": "other"}, headers=headers))
    note(await broker.result(session))
    await broker.perform(session)
    broker.clock.advance_seconds(1)
    note(await broker.result(session))
    note(await broker.result(session | {"authToken": WRONG_TOKEN}))
    for _ in range(6):
        answer = await post("/api/sessions", json=body)
        if answer.status_code == 200:
            tokens.append(answer.json()["authToken"])
        else:
            note(answer)
    note(await broker.revoke(session))
    # After 429 and 503 the broker pauses its calls, so these come last.
    for status in (400, 401, 403, 404, 409, 415, 500, 502, 503, 429):
        broker.simulator.fail(status)
        broker.clock.advance_seconds(601)
        note(await post("/api/sessions", json=body))
        broker.simulator.recover()
    note(await broker.http.get("/api/nowhere", headers={"X-Session-Token": WRONG_TOKEN}))
    assert len(tokens) > 1
    return tokens, [f"{answer.headers} {answer.text}" for answer in seen]


async def test_canaries_show_in_no_log_answer_or_repr(
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Key, tokens, device id, idempotency key, pepper: none of them is in what the broker says or logs."""
    face_key = "canary-face-key-0a1b2c3d"
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(support, "FACE_KEY", face_key)
    async with running_broker(ID_PEPPER=PEPPER) as broker:
        for name in ("azure", "msal"):
            # The app has quietened them: an operator can turn them up again.
            monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        tokens, answers = await _drive(broker)
        stored = [
            repr(entity)
            for table in broker.app.store._tables.values()  # type: ignore[attr-defined]  # All that was ever written.
            for entity in table.values()
        ]
        parts = [repr(broker.app), repr(broker.app.settings), repr(broker.app.face), *stored]
    # The client and the servers of this test log too, but in other loggers than the broker's.
    others = ("aiohttp.access", "aiohttp.server", "asyncio", "httpcore", "httpx", "local.")
    logged = [
        record.getMessage() + repr(record.__dict__)
        for record in caplog.records
        if not record.name.startswith(others)
    ]
    printed = capfd.readouterr()

    secret_values = [face_key, PEPPER, DEVICE, WRONG_TOKEN, IDEMPOTENCY_KEY, *tokens]
    assert logged
    for place, texts in {"answers": answers, "log": logged, "reprs": parts, "printed": list(printed)}.items():
        for number, value in enumerate(secret_values):
            assert not [text for text in texts if value in text], f"secret {number} shows in {place}"
