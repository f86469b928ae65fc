"""`ops smoke`: create, read and revoke one session against a broker, deployed or local."""

import argparse
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from ops.broker_client import Answer, Broker
from ops.output import CommandFailed, Output, notify
from ops.package import release_of
from ops.preflight import broker_findings
from shared.release import Release

_PAUSE_SECONDS = 5.0
_LOG_STREAM = "See the app's log stream: a failed start names the setting."
_ROLE = "Liveness.Operate"
_PASSING = {"KeyUnavailable", "StorageUnavailable", "UpstreamUnauthorized", "UpstreamThrottled"}
"""The error codes while a new role of the app's identity is not effective, or Face has no room for the call."""


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Run all steps and print each; raises `CommandFailed` at the first that fails."""
    token = None if arguments.anonymous else environment.get("BROKER_TOKEN")
    broker, output = Broker(arguments.url.rstrip("/"), token), Output(arguments.json)
    release = release_of(arguments.release) if arguments.release else None
    notify(f"broker {broker.url}")
    wait_for_health(broker, arguments.wait, output, release=release)
    check_session(broker, output, anonymous=arguments.anonymous, seconds=arguments.wait)
    if key := environment.get("BROKER_KEY"):
        check_ready(broker, key, output)


def wait_for_health(
    broker: Broker,
    seconds: float,
    output: Output,
    *,
    release: Release | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the app answers with the expected release, which takes a while after a deployment.

    Raises `CommandFailed` after `seconds`.
    """
    end = clock() + seconds
    while problem := _health_problem(broker, release):
        if clock() >= end:
            raise CommandFailed(f"health: {problem}")
        sleep(_PAUSE_SECONDS)
    output.result("passed   health: the app has started" + (f", {release}" if release else ""))


def check_session(
    broker: Broker,
    output: Output,
    *,
    anonymous: bool,
    seconds: float = 0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Create, read and revoke a session; raises `CommandFailed` at the first step that fails.

    Unless callers are `anonymous`, the token needs the role of servers. For `seconds` a call is repeated while it
    fails as it does until new roles of the app are effective, or while Face has no room for it.
    """
    end = clock() + seconds

    def repeated(call: Callable[[], Answer]) -> Answer:
        while (answer := call()).headers.get("x-ms-error-code") in _PASSING and clock() < end:
            sleep(max(_PAUSE_SECONDS, int(answer.headers.get("retry-after", 0))))
        return answer

    if anonymous:
        output.result("skipped  unauthenticated create: the broker does not authenticate callers")
    else:
        _expect(_create(replace(broker, token=None)), HTTPStatus.UNAUTHORIZED, "unauthenticated create")
        output.result("passed   unauthenticated create: refused")
    created = repeated(lambda: _create(broker))
    if created.status == HTTPStatus.UNAUTHORIZED and broker.token is None:
        option = " and leave --anonymous out" if anonymous else ""
        raise CommandFailed(f"create: callers sign in here: put an access token into BROKER_TOKEN{option}")
    session = _expect(created, HTTPStatus.OK, "create").body
    result = urlsplit(session["resultUrl"])
    region = replace(broker, url=f"{result.scheme}://{result.netloc}")
    output.result(f"passed   create: a session at {result.netloc}")

    def call(method: str, token: str) -> Answer:
        return repeated(lambda: region.call(method, result.path, X_Session_Token=token))

    token = session["authToken"]
    status = _expect(call("GET", token), HTTPStatus.OK, "read").body.get("status")
    if status != "NotStarted":
        raise CommandFailed(f"read: the status of a new session is {status}")
    output.result("passed   read: not started")
    if not anonymous:
        audited = repeated(lambda: region.call("GET", f"{result.path}/audit"))
        if audited.status == HTTPStatus.FORBIDDEN:
            raise CommandFailed(f"role: the token has no role {_ROLE}: assign it to whom the token is for")
        _expect(audited, HTTPStatus.OK, "audit")
        _expect(repeated(lambda: region.call("GET", result.path)), HTTPStatus.OK, "read as a server")
        output.result("passed   role: the token reads and audits any session")
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


def _health_problem(broker: Broker, release: Release | None) -> str | None:
    try:
        answer = broker.call("GET", "/api/health")
    except CommandFailed as failure:
        return f"{failure}. {_LOG_STREAM}"
    if answer.body.get("status") != "healthy":
        return f"{answer}. {_LOG_STREAM}"
    running = Release(answer.body.get("version"), answer.body.get("commit"))
    if release and running != release:
        return f"{running} runs, and not {release}: was the package published to this app, and did the app restart?"
    return None
