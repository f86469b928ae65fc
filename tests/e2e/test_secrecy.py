"""Nothing secret shows anywhere: canaries through every path, everything logged, all output searched."""

import logging
from typing import Any

import pytest

from tests.support import broker as support
from tests.support.broker import Broker, running_broker

DEVICE = "canary-device-7f3a"
REFERENCE = "canary-reference-91c2"
WRONG_TOKEN = "canary-wrong-token-55d0"
IDEMPOTENCY_KEY = "canary-idempotency-key-8b"
PEPPER = "canary-pepper-c0ffee"


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All loggers at DEBUG, also those that have been quietened, as a careless operator would set them."""
    caplog.set_level(logging.DEBUG)
    return caplog


async def _drive(broker: Broker) -> list[str]:
    """Send what succeeds and what fails; returns all answers with their headers, but without the tokens' own."""
    seen: list[str] = []
    tokens: list[str] = []

    async def note(answer: Any) -> Any:  # noqa: ANN401 - an httpx response, handed on.
        seen.append(f"{answer.headers} {answer.text}")
        return answer

    headers = {"Idempotency-Key": IDEMPOTENCY_KEY}
    body = {"livenessOperationMode": "Passive", "deviceCorrelationId": DEVICE, "clientReference": REFERENCE}
    created = await broker.http.post("/api/sessions", json=body, headers=headers)
    session = created.json()
    tokens.append(session["authToken"])
    await note(await broker.http.post("/api/sessions", json=body | {"x": DEVICE}, headers=headers))
    await note(
        await broker.http.post("/api/sessions", json=body | {"clientReference": "other"}, headers=headers)
    )
    await note(await broker.result(session))
    await broker.perform(session)
    broker.clock.advance_seconds(1)
    await note(await broker.result(session))
    await note(await broker.result(session | {"authToken": WRONG_TOKEN}))
    for _ in range(6):
        answer = await broker.http.post("/api/sessions", json=body)
        if answer.status_code == 200:
            tokens.append(answer.json()["authToken"])
        else:
            await note(answer)
    await note(await broker.revoke(session))
    # After 429 and 503 the broker pauses its calls, so these come last.
    for status in (400, 401, 403, 404, 409, 415, 500, 502, 503, 429):
        broker.simulator.fail(status)
        broker.clock.advance_seconds(601)
        await note(await broker.http.post("/api/sessions", json=body))
        broker.simulator.recover()
    await note(await broker.http.get("/api/nowhere", headers={"X-Session-Token": WRONG_TOKEN}))
    assert len(tokens) > 1
    seen.append("tokens:" + " ".join(tokens))
    return seen


async def test_canaries_show_in_no_log_answer_or_repr(
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Key, tokens, device id, idempotency key, pepper: none of them is in what the broker says or logs."""
    face_key = "canary-face-key-0a1b2c3d"
    monkeypatch.setattr(support, "FACE_KEY", face_key)
    async with running_broker(ID_PEPPER=PEPPER) as broker:
        for name in ("azure", "httpcore", "httpx", "msal"):
            # The app has quietened them: an operator can turn them up again.
            monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        *answers, tokens = await _drive(broker)
        stored = [
            repr(entity)
            for table in broker.app.store._tables.values()  # type: ignore[attr-defined]  # All that was ever written.
            for entity in table.values()
        ]
        parts = [repr(broker.app), repr(broker.app.settings), repr(broker.app.face), *stored]
    logged = [
        record.getMessage() + repr(record.__dict__) for record in everything_logged.records if _ours(record)
    ]
    printed = capfd.readouterr()

    secret_values = [
        face_key,
        PEPPER,
        DEVICE,
        WRONG_TOKEN,
        IDEMPOTENCY_KEY,
        *tokens.removeprefix("tokens:").split(),
    ]
    assert logged
    for place, texts in {"answers": answers, "log": logged, "reprs": parts, "printed": list(printed)}.items():
        for number, value in enumerate(secret_values):
            assert not [text for text in texts if value in text], f"secret {number} shows in {place}"


def _ours(record: logging.LogRecord) -> bool:
    # The test's own HTTP clients log too, but in other loggers than the broker's: those of the libraries stay quiet.
    return not record.name.startswith(("aiohttp", "asyncio", "local."))
