"""Health and readiness, through HTTP."""

import logging

import pytest

from tests.support.broker import FUNCTION_KEY, Broker, running_broker

KEY = {"x-functions-key": FUNCTION_KEY}


async def test_health_asks_nobody(broker: Broker) -> None:
    """Health answers although everything else is down."""
    await broker.simulator.stop()

    answer = await broker.http.get("/api/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


async def test_probes_are_not_logged(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Front Door asks from everywhere, all the time: its calls would be most of the log."""
    caplog.set_level(logging.INFO)
    await broker.http.get("/api/health")
    await broker.http.get("/api/ready", headers=KEY)

    ended = [record.getMessage() for record in caplog.records if "request_ended" in record.getMessage()]
    assert len(ended) == 1
    assert '"operation": "ready"' in ended[0]


async def test_ready_names_each_dependency(broker: Broker) -> None:
    """An operator sees what was asked and that it answers."""
    answer = await broker.http.get("/api/ready", headers=KEY)

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "faceApiVersion": "v1.1-preview.1",
        "dependencies": [
            {"name": "face", "state": "available", "problem": None},
            {"name": "storage", "state": "available", "problem": None},
            {"name": "queue", "state": "available", "problem": None},
            {"name": "secrets", "state": "available", "problem": None},
        ],
    }


async def test_ready_without_the_function_key_is_the_hosts_401(broker: Broker) -> None:
    """Readiness costs an upstream call: it is not for everybody."""
    assert (await broker.http.get("/api/ready")).status_code == 401


async def test_wrong_key_of_face_is_told_by_ready(broker: Broker) -> None:
    """A subscription key that does not fit the endpoint shows before the first phone does."""
    broker.simulator.keys = {"another-key"}

    answer = await broker.http.get("/api/ready", headers=KEY)

    assert answer.status_code == 503
    face = answer.json()["dependencies"][0]
    assert (face["name"], face["state"]) == ("face", "unavailable")
    assert face["problem"].startswith("UpstreamUnauthorized")


async def test_wrong_version_of_face_is_told_by_ready() -> None:
    """A 404 that is not `SessionNotFound` means that the endpoint does not have this version."""
    async with running_broker() as broker:
        broker.simulator.fail(404, count=3)

        answer = await broker.http.get("/api/ready", headers=KEY)

        assert answer.json()["dependencies"][0]["problem"].startswith("UpstreamFailure")
