"""Health and readiness, through HTTP."""

import logging
import re

import pytest

from tests.infra.bicep_compiler import INFRA
from tests.support.broker import FUNCTION_KEY, Broker

KEY = {"x-functions-key": FUNCTION_KEY}


async def test_health_asks_nobody(broker: Broker) -> None:
    """Health answers although everything else is down."""
    await broker.simulator.stop()

    answer = await broker.http.get("/api/health")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "healthy", "version": None, "commit": None},
    )
    [expected] = re.findall("ContentMatch: '(.+?)'", (INFRA / "modules/alerts.bicep").read_text("utf-8"))
    assert expected in answer.text, "the availability test looks for it"


async def test_probes_are_not_logged(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Front Door asks from everywhere, all the time: its calls would be most of the log."""
    caplog.set_level(logging.INFO)
    await broker.http.get("/api/health")
    await broker.http.get("/api/ready", headers=KEY)

    ended = [record.getMessage() for record in caplog.records if "request_ended" in record.getMessage()]
    assert len(ended) == 1
    assert '"operation": "ready"' in ended[0]


async def test_ready_names_each_dependency(broker: Broker) -> None:
    """An operator with the function key sees what was asked and that it answers."""
    answer = await broker.http.get("/api/ready", headers=KEY)

    assert (answer.status_code, (await broker.http.get("/api/ready")).status_code) == (200, 401)
    assert answer.json() == {
        "status": "ready",
        "faceApiVersion": "v1.1-preview.1",
        "dependencies": [
            {"name": name, "state": "available", "problem": None}
            for name in ("face", "storage", "queue", "secrets")
        ],
    }


@pytest.mark.parametrize(
    ("status", "code"), [(401, "UpstreamUnauthorized"), (404, "UpstreamFailure")], ids=["key", "version"]
)
async def test_wrong_key_or_version_of_face_is_told_by_ready(broker: Broker, status: int, code: str) -> None:
    """A key that does not fit, or a version that the endpoint does not have, shows before the first phone does."""
    broker.simulator.fail(status, count=3)

    answer = await broker.http.get("/api/ready", headers=KEY)

    face = answer.json()["dependencies"][0]
    assert (answer.status_code, face["name"], face["state"]) == (503, "face", "unavailable")
    assert face["problem"].startswith(code)
