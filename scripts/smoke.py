"""Asks a deployed broker, or the local host, whether it does its job: one session from its creation to its end.

    python -m scripts.smoke URL [--token TOKEN | --anonymous] [--key FUNCTION_KEY] [--wait SECONDS]

Costs one session at Face, and three calls. Ends with 1 at the first answer that is not the expected one.
"""

import argparse
import time
import uuid
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from scripts.broker_client import Answer, Failed, Service

Say = Callable[[str], None]

_PAUSE_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps against the URL of the command line, and print each."""
    options = _options(arguments)
    service = Service(options.url.rstrip("/"), options.token)
    try:
        wait_for_health(service, options.wait, print)
        smoke(service, print, anonymous=options.anonymous)
        if options.key:
            check_ready(service, options.key, print)
    except Failed as failure:
        print(f"FAILED  {failure}")
        return 1
    return 0


def wait_for_health(
    service: Service,
    seconds: float,
    say: Say,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ask until the app answers: after a deployment it takes its time; raises `Failed` after so many seconds."""
    end = clock() + seconds
    while problem := _unhealthy(service):
        if clock() >= end:
            raise Failed(
                f"health: {problem}. See the log stream of the app; a start that fails names the setting."
            )
        sleep(_PAUSE_SECONDS)
    say("ok      health: the app is loaded, its settings are good")


def smoke(service: Service, say: Say, *, anonymous: bool) -> None:
    """Create, read and revoke a session; raises `Failed` at the first step that goes wrong."""
    if anonymous:
        say("left out  unauthenticated create: this environment lets anybody in (CLIENT_AUTH=none)")
    else:
        _expect(_create(service, bearer=False), HTTPStatus.UNAUTHORIZED, "unauthenticated create")
        say("ok      unauthenticated create: refused")

    session = _expect(_create(service), HTTPStatus.OK, "create").body
    result = urlsplit(session["resultUrl"])
    home = Service(f"{result.scheme}://{result.netloc}", service.token)
    say(f"ok      create: a session of {result.netloc}")

    token = session["authToken"]
    read = _expect(home.ask("GET", result.path, X_Session_Token=token), HTTPStatus.OK, "read")
    if read.body.get("status") != "NotStarted":
        raise Failed(f"read: the status of a new session is {read.body.get('status')}")
    say("ok      read: not started")

    foreign = home.ask("GET", result.path, X_Session_Token=token[::-1])
    _expect(foreign, HTTPStatus.NOT_FOUND, "read with another token")
    say("ok      read with another token: not found")

    _expect(home.ask("DELETE", result.path, X_Session_Token=token), HTTPStatus.NO_CONTENT, "revoke")
    _expect(home.ask("GET", result.path, X_Session_Token=token), HTTPStatus.NOT_FOUND, "read after revoking")
    say("ok      revoke: the session is gone")


def check_ready(service: Service, key: str, say: Say) -> None:
    """Ask for the state of each dependency; raises `Failed` with those that are not available."""
    answer = service.ask("GET", "/api/ready", x_functions_key=key)
    problems = [
        f"{dependency['name']}: {dependency['problem']}"
        for dependency in answer.body.get("dependencies", ())
        if dependency["problem"] is not None
    ]
    if problems:
        raise Failed(f"ready: {'; '.join(problems)}")
    _expect(answer, HTTPStatus.OK, "ready")
    say("ok      ready: all dependencies answer")


def _create(service: Service, *, bearer: bool = True) -> Answer:
    body = {
        "livenessOperationMode": "Passive",
        # Of its own each time: the limits of one device would end the third run.
        "deviceCorrelationId": f"smoke-{uuid.uuid4()}",
        "authTokenTimeToLiveInSeconds": 60,
    }
    return service.ask("POST", "/api/sessions", body=body, bearer=bearer, Idempotency_Key=str(uuid.uuid4()))


def _expect(answer: Answer, status: HTTPStatus, step: str) -> Answer:
    if answer.status != status:
        raise Failed(f"{step}: {status.value} was expected, and {answer} came")
    return answer


def _unhealthy(service: Service) -> str | None:
    try:
        answer = service.ask("GET", "/api/health")
    except Failed as failure:
        return str(failure)
    return None if answer.body.get("status") == "healthy" else str(answer)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", metavar="URL", help="such as https://func-dev-weu-abc.azurewebsites.net")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--token", help="a bearer token that the broker, or Easy Auth before it, takes")
    who.add_argument("--anonymous", action="store_true", help="callers are not authenticated there")
    parser.add_argument("--key", help="a function key: ask for the state of the dependencies too")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="how long to wait for the app"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
