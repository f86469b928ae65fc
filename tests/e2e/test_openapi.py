"""The running broker keeps to its OpenAPI document, whatever is sent (schemathesis)."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scripts.openapi import document
from tests.support.broker import FUNCTION_KEY, Broker, running_broker
from tests.support.processes import SOAK

CASES = 2_000 if SOAK else 200
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
NO_LIMITS: dict[str, Any] = {f"THROTTLE_{name}": "off" for name in ("DEVICE", "CLIENT", "FAILURES", "RESULT")}

schema = schemathesis.openapi.from_dict(document())


@contextmanager
def broker_in_a_thread() -> Iterator[Broker]:
    """Run a broker beside the test, whose calls block."""
    started: list[Broker] = []
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running_broker(**NO_LIMITS) as broker:
            started.append(broker)
            ready.set()
            await over.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with broker_in_a_thread() as broker:
        yield f"{broker.host.url}/api"


@schema.parametrize()
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_request_gets_an_answer_of_the_document(case: schemathesis.Case[Any], url: str) -> None:
    """No failure of the service, and no status, header or body that the document does not have."""
    # Without the key the platform answers, with an empty body.
    case.call_and_validate(base_url=url, headers={"x-functions-key": FUNCTION_KEY}, checks=list(CHECKS))


def test_answers_of_a_whole_check_fit_the_document() -> None:
    """Generated requests hardly ever name a session that exists."""
    with broker_in_a_thread() as broker, httpx.Client(base_url=f"{broker.host.url}/api") as http:
        created = http.post(
            "/sessions", json={"livenessOperationMode": "Passive", "deviceCorrelationId": "d"}
        )
        session = created.json()
        path, headers = f"/sessions/{session['sessionId']}", {"X-Session-Token": session["authToken"]}
        told = [
            ("POST", "/sessions", created),
            ("GET", "/sessions/{sessionId}", http.get(path, headers=headers)),
            (
                "GET",
                "/sessions/{sessionId}/audit",
                http.get(f"{path}/audit", headers={"x-functions-key": FUNCTION_KEY}),
            ),
            ("DELETE", "/sessions/{sessionId}", http.delete(path, headers=headers)),
        ]
    for method, template, answer in told:
        assert answer.status_code in (200, 204), answer.text
        schema[template][method].validate_response(answer)
