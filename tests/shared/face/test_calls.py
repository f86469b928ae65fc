import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest

from shared.errors import (
    KeyUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from shared.face.budget import Budget, Lane
from shared.face.calls import PATIENCE, Patience, Trouble, next_wait
from shared.face.model import Face
from tests.shared.face.doubles import (
    CREATED,
    HANG,
    NOT_FOUND,
    NOT_STARTED,
    REQUEST_ID,
    SESSION,
    SPEC,
    FakeCredential,
    ScriptedFace,
    Step,
)
from tests.support.time import in_virtual_time

CALLS: dict[str, Callable[[Face], Awaitable[object]]] = {
    "create": lambda face: face.create(SPEC, REQUEST_ID),
    "result": lambda face: face.result(SESSION, REQUEST_ID),
    "delete": lambda face: face.delete(SESSION, REQUEST_ID),
}
each_call = pytest.mark.parametrize("call", CALLS)

CREATED_STEP = (200, CREATED)
GONE = (404, NOT_FOUND)
DENIED = (401, {"error": {"code": "401", "message": "Access denied due to invalid key."}})
IN_26_SECONDS = (
    429,
    {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 26 seconds."}},
)
OUT_OF_QUOTA = (403, {"error": {"message": "Out of call volume quota. Quota will be replenished in 2 days."}})
UNSENT = httpx.ConnectError("no connection")

AMBIGUOUS: dict[str, Step] = {
    "connection lost": httpx.ReadError("reset"),
    "no valid HTTP": httpx.RemoteProtocolError("junk"),
    "silent": HANG,
    "500": (500, {"error": {"code": "Unspecified", "message": "Internal server error"}}),
    "502 HTML": (502, b"<html><body>Bad gateway</body></html>"),
    "503": (503, b"", {"Retry-After": "0"}),
    "504": (504, b""),
}
ambiguous = pytest.mark.parametrize("step", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))


@ambiguous
@in_virtual_time
async def test_create_is_sent_once_if_a_session_may_exist(step: Step) -> None:
    """After any failure that leaves open whether Face made a session, create is not sent again."""
    server = ScriptedFace(step, CREATED_STEP)
    with pytest.raises(UpstreamError) as failure:
        await server.client().create(SPEC, REQUEST_ID)
    assert len(server.requests) == 1
    assert failure.value.request_sent
    assert type(failure.value) in (UpstreamFailure, UpstreamTimeout, UpstreamThrottled)


@pytest.mark.parametrize(("call", "next_step"), [("result", (200, NOT_STARTED)), ("delete", GONE)])
@ambiguous
@in_virtual_time
async def test_read_or_delete_is_repeated_after_what_may_pass(step: Step, call: str, next_step: Step) -> None:
    """The next response counts; a delete that was cut off may have worked, so it may find no session."""
    server = ScriptedFace(step, next_step)
    await CALLS[call](server.client())
    assert len(server.requests) == 2


@in_virtual_time
async def test_read_gives_up_after_three_tries() -> None:
    """The third failure is raised, after waits that grow."""
    server = ScriptedFace(AMBIGUOUS["502 HTML"])
    with pytest.raises(UpstreamFailure, match="502"):
        await server.client().result(SESSION, REQUEST_ID)
    assert server.times == [0.0, pytest.approx(0.2), pytest.approx(0.6)]


@each_call
@in_virtual_time
async def test_call_without_connection_is_repeated_and_certain(call: str) -> None:
    """Without a connection there are three tries, also for a create, and nothing was sent."""
    server = ScriptedFace(UNSENT)
    with pytest.raises(UpstreamFailure) as failure:
        await CALLS[call](server.client())
    assert not failure.value.request_sent
    assert len(server.requests) == 3


@in_virtual_time
async def test_request_counts_as_sent_if_an_earlier_try_was() -> None:
    """A last try that was not sent does not hide that an earlier one was."""
    server = ScriptedFace(AMBIGUOUS["500"], UNSENT)
    with pytest.raises(UpstreamFailure) as failure:
        await server.client().result(SESSION, REQUEST_ID)
    assert isinstance(failure.value.__cause__, httpx.ConnectError)
    assert failure.value.request_sent


@each_call
@in_virtual_time
async def test_refused_key_is_renewed_and_the_call_repeated(call: str) -> None:
    """After a 401 the credential is renewed once and the same request sent with the new key."""
    credential = FakeCredential("old", "new")
    answers = {"create": CREATED_STEP, "result": (200, NOT_STARTED), "delete": GONE}
    server = ScriptedFace(DENIED, answers[call])
    await CALLS[call](server.client(credential=credential))
    assert [request.headers["ocp-apim-subscription-key"] for request in server.requests] == ["old", "new"]
    assert len({(request.method, request.url, request.content) for request in server.requests}) == 1
    assert credential.refused == [{"Ocp-Apim-Subscription-Key": "old"}]


@pytest.mark.parametrize(
    ("step", "requests", "renewals"),
    [(DENIED, 2, 1), ((403, {"error": {"code": "UnsupportedFeature"}}), 1, 0)],
)
@in_virtual_time
async def test_key_is_renewed_once_and_after_a_401_only(step: Step, requests: int, renewals: int) -> None:
    """A second 401 is final; a key that is valid but not allowed (403) is not renewed."""
    credential, server = FakeCredential("first", "second", "third"), ScriptedFace(step)
    with pytest.raises(UpstreamUnauthorized):
        await server.client(credential=credential).create(SPEC, REQUEST_ID)
    assert (len(server.requests), len(credential.refused)) == (requests, renewals)


class _NoCredential(FakeCredential):
    async def headers(self) -> Mapping[str, str]:
        raise KeyUnavailable("the vault is away")


class _NoRenewal(FakeCredential):
    async def renew(self, refused: Mapping[str, str]) -> bool:
        raise KeyUnavailable("the secret is gone")


@pytest.mark.parametrize(
    ("credential", "sent"),
    [(_NoCredential(), False), (FakeCredential("not a header\n"), False), (_NoRenewal(), True)],
    ids=["no key", "a key that cannot be sent", "no newer key after a 401"],
)
@in_virtual_time
async def test_missing_key_says_whether_a_request_was_sent(credential: FakeCredential, sent: bool) -> None:
    """Without a key nothing is sent; a request with the old key was sent, whatever became of it."""
    server = ScriptedFace(DENIED)
    with pytest.raises(KeyUnavailable) as unavailable:
        await server.client(credential=credential).create(SPEC, REQUEST_ID)
    assert unavailable.value.request_sent == bool(server.requests) == sent


@in_virtual_time
async def test_long_wait_is_returned_at_once() -> None:
    """A 429 of 26 seconds is not waited for within the call: the error has the 26 seconds."""
    server = ScriptedFace(IN_26_SECONDS)
    with pytest.raises(UpstreamThrottled) as failure:
        await server.client().create(SPEC, REQUEST_ID)
    assert (failure.value.retry_after, failure.value.request_sent) == (26.0, True)
    assert (server.times, asyncio.get_running_loop().time()) == ([0.0], 0.0)


@in_virtual_time
async def test_429_slows_the_next_calls_down_and_stops_none() -> None:
    """A 429 of 26 seconds lowers the rate: the next create goes out at once, others when there is room."""
    budget = Budget(8, monotonic=asyncio.get_running_loop().time)
    server = ScriptedFace(IN_26_SECONDS, CREATED_STEP)
    face = server.client(budget=budget)
    with pytest.raises(UpstreamThrottled):
        await face.create(SPEC, REQUEST_ID)
    assert budget.rate < 2.0
    creates = [face.create(SPEC, REQUEST_ID) for _ in range(6)]
    outcomes = await asyncio.gather(*creates, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, UpstreamThrottled)]
    assert refused
    assert not any(error.request_sent for error in refused)
    assert len(server.times) == 1 + 6 - len(refused)
    assert server.times[:2] == [0.0, 0.0]
    await asyncio.sleep(refused[-1].retry_after or 0.0)
    await face.create(SPEC, REQUEST_ID)


@pytest.mark.parametrize("step", [step for name, step in AMBIGUOUS.items() if name != "silent"])
@in_virtual_time
async def test_other_failures_slow_nothing_down(step: Step) -> None:
    """Only a 429 says that Face gets too many calls."""
    budget = Budget(8, monotonic=asyncio.get_running_loop().time)
    with pytest.raises(UpstreamError):
        await ScriptedFace(step).client(budget=budget).create(SPEC, REQUEST_ID)
    assert budget.rate == 8.0


@in_virtual_time
async def test_create_waits_for_a_429_that_fits() -> None:
    """A 429 made no session: after a wait that fits into the deadline, create is sent again."""
    in_3_seconds = (429, {"error": {"statusCode": 429, "message": "Try again in 3 seconds."}})
    server = ScriptedFace(in_3_seconds, CREATED_STEP)
    assert (await server.client().create(SPEC, REQUEST_ID)).session_id == SESSION
    assert server.times == [0.0, pytest.approx(3.2)]


@pytest.mark.parametrize(
    ("call", "requests", "seconds"), [("create", 1, 8.0), ("result", 2, 4.2), ("delete", 2, 4.2)]
)
@in_virtual_time
async def test_silent_face_costs_no_more_than_the_deadline(call: str, requests: int, seconds: float) -> None:
    """A Face that never answers holds a call no longer than its deadline."""
    server = ScriptedFace(HANG)
    with pytest.raises(UpstreamTimeout) as failure:
        await CALLS[call](server.client())
    assert failure.value.request_sent
    assert asyncio.get_running_loop().time() == pytest.approx(seconds)
    assert len(server.requests) == requests


@in_virtual_time
async def test_deadline_holds_for_the_credential_too() -> None:
    """A credential that does not come ends the call at its deadline, with nothing sent."""

    class _Stuck(FakeCredential):
        async def headers(self) -> Mapping[str, str]:
            await asyncio.Event().wait()
            return {}

    with pytest.raises(UpstreamTimeout) as failure:
        await ScriptedFace(HANG).client(credential=_Stuck()).create(SPEC, REQUEST_ID)
    assert not failure.value.request_sent
    assert asyncio.get_running_loop().time() == pytest.approx(8.0)


@in_virtual_time
async def test_cancellation_is_passed_on() -> None:
    """A cancelled call raises the cancellation, not an error, and the client goes on working."""
    server = ScriptedFace(HANG, CREATED_STEP)
    face = server.client()
    cancelled = asyncio.ensure_future(face.create(SPEC, REQUEST_ID))
    await asyncio.sleep(1)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await face.create(SPEC, REQUEST_ID)).session_id == SESSION


@pytest.mark.parametrize("request_id", ["", "1", f"{REQUEST_ID}\n", f"{REQUEST_ID}\r\nX: 1", "g" * 36])
async def test_request_id_that_is_not_a_guid_is_refused(request_id: str) -> None:
    """Only a GUID is put into a header field."""
    server = ScriptedFace(CREATED_STEP)
    with pytest.raises(ValueError, match="request id"):
        await server.client().create(SPEC, request_id)
    assert not server.requests


@in_virtual_time
async def test_each_request_leaves_one_event(caplog: pytest.LogCaptureFixture) -> None:
    """Each try is logged with what a support case needs: operation, status, both request ids."""
    caplog.set_level(logging.INFO, logger="shared.face")
    server = ScriptedFace(
        (500, {"error": {"code": "Unspecified"}}, {"apim-request-id": "first"}),
        (404, NOT_FOUND, {"apim-request-id": "second"}),
    )
    await server.client().delete(SESSION, REQUEST_ID)
    events = [json.loads(line.getMessage()) for line in caplog.records if line.name == "shared.face.calls"]
    both = {"event": "face_called", "operation": "delete", "milliseconds": 0, "requestId": REQUEST_ID}
    failed = {"error": "UpstreamFailure", "detail": "Face answered 500 Unspecified"}
    assert events == [
        both | failed | {"attempt": 1, "status": 500, "upstreamRequestId": "first"},
        both | {"error": "UpstreamSessionGone", "attempt": 2, "status": 404, "upstreamRequestId": "second"},
    ]


def wait(
    trouble: Trouble,
    *,
    repeatable: bool,
    attempt: int = 1,
    remaining: float = 5.0,
    jitter: float = 0.0,
    patience: Patience = PATIENCE[Lane.READ],
) -> float:
    return next_wait(
        trouble, attempt=attempt, repeatable=repeatable, patience=patience, remaining=remaining, jitter=jitter
    )


@pytest.mark.parametrize(
    "status", [300, 307, 400, 401, 403, 404, 409, 415, 429, 500, 501, 502, 503, 504, 505]
)
def test_status_decides_what_is_repeated(status: int) -> None:
    """A read is repeated after what may pass; a create only after a 429, which certainly made no session."""
    trouble = Trouble(UpstreamFailure(request_sent=True), status)
    for repeatable, repeated in ((True, (429, 500, 502, 503, 504)), (False, (429,))):
        if status in repeated:
            assert wait(trouble, repeatable=repeatable) == 0.0
        else:
            with pytest.raises(UpstreamFailure) as raised:
                wait(trouble, repeatable=repeatable)
            assert raised.value is trouble.error


@pytest.mark.parametrize(("repeatable", "sent"), [(True, False), (True, True), (False, False)])
def test_failure_without_a_response_is_repeated(repeatable: bool, sent: bool) -> None:
    """A read is repeated whether or not it was sent; a create only if it certainly was not."""
    assert wait(Trouble(UpstreamTimeout(request_sent=sent)), repeatable=repeatable) == 0.0
    with pytest.raises(UpstreamTimeout):
        wait(Trouble(UpstreamTimeout(request_sent=True)), repeatable=False)


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 2.0), (9, 2.0)])
def test_backoff_grows_to_its_cap_with_full_jitter(attempt: int, longest: float) -> None:
    """The wait is anything from nothing to a limit that doubles from 0.2 s to 2 s."""
    many, trouble = Patience(total=60.0, per_try=1.0, tries=10), Trouble(UpstreamTimeout())
    for jitter in (0.0, 0.5, 1.0):
        waited = wait(trouble, repeatable=True, attempt=attempt, jitter=jitter, patience=many, remaining=60.0)
        assert waited == pytest.approx(jitter * longest)


def test_wait_that_face_asks_for_is_kept_and_jittered() -> None:
    """No try comes before the time that Face said, and not all come at the same moment."""
    trouble = Trouble(UpstreamThrottled(retry_after=2.0), 429)
    assert wait(trouble, repeatable=True, jitter=1.0) == pytest.approx(2.2)


@pytest.mark.parametrize(("retry_after", "remaining"), [(26.0, 5.0), (4.1, 5.0), (0.0, 0.9)])
def test_wait_that_leaves_no_time_for_a_try_is_not_started(retry_after: float, remaining: float) -> None:
    """If the wait and half a try do not fit into the remaining time, the error is raised at once."""
    trouble = Trouble(UpstreamThrottled(retry_after=retry_after), 429)
    with pytest.raises(UpstreamThrottled) as raised:
        wait(trouble, repeatable=True, remaining=remaining)
    assert raised.value.retry_after == retry_after
