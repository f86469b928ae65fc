"""`ops smoke`: create, read and revoke one session against a broker, deployed or local."""

import argparse
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from ops.broker_client import Answer, Broker
from ops.output import CommandFailed, Output, notify
from ops.preflight import broker_findings

_PAUSE_SECONDS = 5.0


def run(arguments: argparse.Namespace) -> None:
    """Run all steps and print each; raises `CommandFailed` at the first that fails."""
    broker, output = Broker(arguments.url.rstrip("/"), arguments.token), Output()
    notify(f"broker {broker.url}")
    wait_for_health(broker, arguments.wait, output)
    check_session(broker, output, anonymous=arguments.anonymous)
    if arguments.key:
        check_ready(broker, arguments.key, output)


def wait_for_health(
    broker: Broker,
    seconds: float,
    output: Output,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the app answers, which takes a while after a deployment; raises `CommandFailed` after `seconds`."""
    end = clock() + seconds
    while problem := _health_problem(broker):
        if clock() >= end:
            raise CommandFailed(
                f"health: {problem}. See the app's log stream: a failed start names the setting."
            )
        sleep(_PAUSE_SECONDS)
    output.result("passed   health: the app has started")


def check_session(broker: Broker, output: Output, *, anonymous: bool) -> None:
    """Create, read and revoke a session; raises `CommandFailed` at the first step that fails."""
    if anonymous:
        output.result("skipped  unauthenticated create: the broker does not authenticate callers")
    else:
        _expect(_create(replace(broker, token=None)), HTTPStatus.UNAUTHORIZED, "unauthenticated create")
        output.result("passed   unauthenticated create: refused")
    session = _expect(_create(broker), HTTPStatus.OK, "create").body
    result = urlsplit(session["resultUrl"])
    region = replace(broker, url=f"{result.scheme}://{result.netloc}")
    output.result(f"passed   create: a session at {result.netloc}")

    def call(method: str, token: str) -> Answer:
        return region.call(method, result.path, X_Session_Token=token)

    token = session["authToken"]
    status = _expect(call("GET", token), HTTPStatus.OK, "read").body.get("status")
    if status != "NotStarted":
        raise CommandFailed(f"read: the status of a new session is {status}")
    output.result("passed   read: not started")
    _expect(call("GET", token[::-1]), HTTPStatus.NOT_FOUND, "read with another token")
    output.result("passed   read with another token: not found")
    _expect(call("DELETE", token), HTTPStatus.NO_CONTENT, "revoke")
    _expect(call("GET", token), HTTPStatus.NOT_FOUND, "read after revoking")
    output.result("passed   revoke: the session is gone")


def check_ready(broker: Broker, key: str, output: Output) -> None:
    """Check each dependency; raises `CommandFailed` with those that fail."""
    if findings := list(broker_findings(broker, key)):
        raise CommandFailed("; ".join(f"{finding.what}: {finding.advice}" for finding in findings))
    output.result("passed   ready: all dependencies answer")


def _create(broker: Broker) -> Answer:
    body = {
        "livenessOperationMode": "Passive",
        # A new device each time: the limits of one device would refuse the sixth run.
        "deviceCorrelationId": f"smoke-{uuid.uuid4()}",
        "authTokenTimeToLiveInSeconds": 60,
    }
    return broker.call("POST", "/api/sessions", body, Idempotency_Key=str(uuid.uuid4()))


def _expect(answer: Answer, status: HTTPStatus, step: str) -> Answer:
    if answer.status != status:
        raise CommandFailed(f"{step}: expected {status.value}, got {answer}")
    return answer


def _health_problem(broker: Broker) -> str | None:
    try:
        answer = broker.call("GET", "/api/health")
    except CommandFailed as failure:
        return str(failure)
    return None if answer.body.get("status") == "healthy" else str(answer)
