import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from shared.errors import (
    KeyUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamNotApproved,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from shared.face.answers import UpstreamRequest
from shared.face.budget import Budget, Lane
from shared.face.calls import PATIENCE, Operation, Patience, Trouble, next_wait
from shared.face.model import Face
from shared.http_port import NoAnswer
from shared.keys.secret import Secret
from tests.shared.face.doubles import (
    CREATED,
    HANG,
    KEY,
    NOT_FOUND,
    NOT_STARTED,
    REQUEST_ID,
    SESSION,
    SPEC,
    FakeKeys,
    ScriptedFace,
    Step,
    face_client,
)
from tests.support.raw_server import RawServer, answer, reset_after, sent, then_endless
from tests.support.raw_server import Step as RawStep
from tests.support.secrecy import everything_told_about
from tests.support.time import in_virtual_time

CALLS: dict[str, Callable[[Face], Awaitable[object]]] = {
    "create": lambda face: face.create(SPEC, REQUEST_ID),
    "result": lambda face: face.result(SESSION, REQUEST_ID),
    "delete": lambda face: face.delete(SESSION, REQUEST_ID),
}
CREATED_STEP = (200, CREATED)
GONE = (404, NOT_FOUND)
DENIED = (401, {"error": {"code": "401", "message": "Access denied due to invalid key."}})
IN_26_SECONDS = (429, {"error": {"message": "Rate limit is exceeded. Try again in 26 seconds."}})
IN_3_SECONDS = (429, {"error": {"message": "Try again in 3 seconds."}})
NOT_APPROVED = (403, {"error": {"code": "UnsupportedFeature", "message": "Feature is not supported."}})
UNSENT = NoAnswer("no connection", sent=False, timed_out=False)

LOST, SERVER_ERROR = NoAnswer("reset", sent=True, timed_out=False), (500, {"error": {"code": "Unspecified"}})
HTML_502, BUSY = (502, b"<html><body>Bad gateway</body></html>"), (503, b"", {"Retry-After": "0"})
MAY_PASS: list[tuple[Step, type[UpstreamError]]] = [
    (LOST, UpstreamFailure),
    (NoAnswer("late", sent=True, timed_out=True), UpstreamTimeout),
    (HANG, UpstreamTimeout),
    (SERVER_ERROR, UpstreamFailure),
    (HTML_502, UpstreamFailure),
    (BUSY, UpstreamThrottled),
    ((504, b""), UpstreamFailure),
]
READ_STEP = (200, NOT_STARTED)


@pytest.mark.parametrize(
    ("call", "steps", "kind", "times", "sent"),
    [
        # A session may exist: a create is not sent again.
        *(("create", [step, CREATED_STEP], kind, [0], True) for step, kind in MAY_PASS),
        # The next response counts. A delete that was cut off may have worked, so it may find no session.
        *(
            ("result", [step, READ_STEP], None, [0, 2.2 if step is HANG else 0.2], True)
            for step, _ in MAY_PASS
        ),
        *(("delete", [step, GONE], None, [0, 2.2 if step is HANG else 0.2], True) for step, _ in MAY_PASS),
        ("result", [HTML_502], UpstreamFailure, [0, 0.2, 0.6], True),
        # Without a connection nothing was sent, unless in an earlier try.
        *((call, [UNSENT], UpstreamFailure, [0, 0.2, 0.6], False) for call in CALLS),
        ("result", [SERVER_ERROR, UNSENT], UpstreamFailure, [0, 0.2, 0.6], True),
        # A 429 made no session. A wait that does not fit into the deadline is returned at once.
        ("create", [IN_26_SECONDS, CREATED_STEP], UpstreamThrottled, [0], True),
        ("create", [IN_3_SECONDS, CREATED_STEP], None, [0, 3.2], True),
        ("result", [(400, b""), READ_STEP], UpstreamFailure, [0], True),
    ],
)
@in_virtual_time
async def test_call_is_repeated_as_its_failures_allow(
    call: str, steps: list[Step], kind: type[UpstreamError] | None, times: list[float], sent: bool
) -> None:
    """There are up to three tries, each after a longer wait, and the error says whether any may have been sent."""
    server, error = ScriptedFace(*steps), None
    try:
        await CALLS[call](server.client())
    except UpstreamError as raised:
        error = raised
    assert (type(error) if error else None) is kind
    assert server.times == pytest.approx(times)
    assert error is None or error.request_sent is sent


@pytest.mark.parametrize(
    ("call", "step"), [("create", CREATED_STEP), ("result", READ_STEP), ("delete", GONE)]
)
@in_virtual_time
async def test_refused_key_is_renewed_and_the_call_repeated(call: str, step: Step) -> None:
    """After a 401 the key is renewed once and the same request sent with the new one."""
    keys, server = FakeKeys("old", "new"), ScriptedFace(DENIED, step)
    await CALLS[call](server.client(keys=keys))
    assert [request.headers["Ocp-Apim-Subscription-Key"] for request in server.requests] == ["old", "new"]
    assert len({(request.method, request.url, request.content) for request in server.requests}) == 1
    assert keys.refused == ["old"]


@pytest.mark.parametrize(
    ("keys", "step", "kind", "requests", "renewals"),
    [
        (FakeKeys("first", "second", "third"), DENIED, UpstreamUnauthorized, 2, 1),
        (FakeKeys("the only one"), DENIED, UpstreamUnauthorized, 1, 1),
        (FakeKeys("first", "second"), NOT_APPROVED, UpstreamNotApproved, 1, 0),
    ],
    ids=["another 401", "no newer key", "403"],
)
@in_virtual_time
async def test_key_is_renewed_once_and_after_a_401_only(
    keys: FakeKeys, step: Step, kind: type[UpstreamError], requests: int, renewals: int
) -> None:
    """A second 401 is final, and so is one to the newest key; a valid key that is not allowed is not renewed."""
    server = ScriptedFace(step)
    with pytest.raises(kind) as failure:
        await server.client(keys=keys).create(SPEC, REQUEST_ID)
    assert failure.value.request_sent
    assert (len(server.requests), len(keys.refused)) == (requests, renewals)


class _NoKey(FakeKeys):
    async def get(self) -> Secret:
        raise KeyUnavailable("the vault is away")


class _NoRenewal(FakeKeys):
    async def refresh(self, refused: Secret) -> Secret:
        raise KeyUnavailable("the secret is gone")


UNSENDABLE = [f"{KEY}\n", f"{KEY}\r\nX-Injected: 1", f" {KEY}", f"{KEY} ", f"{KEY}\0", f"{KEY}\u00fc", ""]


@pytest.mark.parametrize(
    ("keys", "sent"),
    [(_NoKey(), False), (_NoRenewal(), True), *((FakeKeys(key), False) for key in UNSENDABLE)],
    ids=["no key", "no newer key after a 401", *map(ascii, UNSENDABLE)],
)
@in_virtual_time
async def test_missing_key_says_whether_a_request_was_sent(keys: FakeKeys, sent: bool) -> None:
    """With a key that no header can carry nothing is sent and charged, and no error text quotes it."""
    server = ScriptedFace(DENIED)
    with pytest.raises(KeyUnavailable) as unavailable:
        await server.client(keys=keys).create(SPEC, REQUEST_ID)
    assert unavailable.value.request_sent == bool(server.requests) == sent
    assert KEY not in everything_told_about(unavailable.value)


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


@pytest.mark.parametrize("step", [LOST, SERVER_ERROR, HTML_502, BUSY])
@in_virtual_time
async def test_other_failures_slow_nothing_down(step: Step) -> None:
    """Only a 429 says that Face gets too many calls."""
    budget = Budget(8, monotonic=asyncio.get_running_loop().time)
    with pytest.raises(UpstreamError):
        await ScriptedFace(step).client(budget=budget).create(SPEC, REQUEST_ID)
    assert budget.rate == 8.0


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
async def test_deadline_holds_for_the_key_too() -> None:
    """A key that does not come ends the call at its deadline, with nothing sent."""

    class _Stuck(FakeKeys):
        async def get(self) -> Secret:
            await asyncio.Event().wait()
            return await super().get()

    with pytest.raises(UpstreamTimeout) as failure:
        await ScriptedFace(HANG).client(keys=_Stuck()).create(SPEC, REQUEST_ID)
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


def wait(trouble: Trouble, *, repeatable: bool = True, remaining: float = 5.0, jitter: float = 0.0) -> float:
    patience = PATIENCE[Lane.READ]
    return next_wait(
        trouble, attempt=1, repeatable=repeatable, patience=patience, remaining=remaining, jitter=jitter
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


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 2.0), (9, 2.0)])
def test_backoff_grows_to_its_cap_with_full_jitter(attempt: int, longest: float) -> None:
    """The wait is anything from nothing to a limit that doubles from 0.2 s to 2 s."""
    many, trouble = Patience(total=60.0, per_try=1.0, tries=10), Trouble(UpstreamTimeout())
    for jitter in (0.0, 0.5, 1.0):
        waited = next_wait(
            trouble, attempt=attempt, repeatable=True, patience=many, remaining=60.0, jitter=jitter
        )
        assert waited == pytest.approx(jitter * longest)


@pytest.mark.parametrize(("retry_after", "remaining"), [(26.0, 5.0), (4.1, 5.0), (0.0, 0.9)])
def test_wait_that_leaves_no_time_for_a_try_is_not_started(retry_after: float, remaining: float) -> None:
    """If the wait and half a try do not fit into the remaining time, the error is raised at once."""
    trouble = Trouble(UpstreamThrottled(retry_after=retry_after), 429)
    with pytest.raises(UpstreamThrottled) as raised:
        wait(trouble, remaining=remaining)
    assert raised.value.retry_after == retry_after
    assert wait(Trouble(UpstreamThrottled(retry_after=4.0), 429), remaining=5.0) == 4.0


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

BROKEN_ANSWERS = {
    "reset": reset_after(b""),
    "closed": sent(b""),
    "reset in the body": reset_after(OK + b'Content-Length: 50\r\n\r\n{"sess'),
    "half a head": sent(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "half a body": sent(OK + b'Content-Length: 50\r\n\r\n{"sess'),
    "half a chunk": sent(OK + b'Transfer-Encoding: chunked\r\n\r\n50\r\n{"sess'),
    "bad chunk size": sent(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "bad content length": sent(OK + b"Content-Length: -5\r\n\r\n{}"),
    "two content lengths": sent(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "compressed chunks": sent(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "no http": sent(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "bytes": sent(bytes(range(256)) * 8),
    "endless head": then_endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
    "compressed": answer(200, b"{}", {"Content-Encoding": "gzip"}),
    "one byte too many": answer(200, b" " * 65_537),
    "endless": then_endless(OK + b"\r\n", b" " * 60_000),
    "redirect": answer(307, b"", {"Location": "http://x:port/"}),
}


@pytest.mark.parametrize("behaviour", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS)
async def test_broken_answer_is_an_ambiguous_failure(behaviour: RawStep) -> None:
    """A create that has left is not sent again: nobody knows what became of it. No error shows the key."""
    async with RawServer(behaviour) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamFailure) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert failure.value.request_sent
    assert KEY not in everything_told_about(failure.value)
    assert len(server.received) == 1


async def test_answer_that_is_always_announced_is_cut_at_the_time_of_a_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time is for all of the answer, however often a part of it comes."""
    monkeypatch.setitem(PATIENCE, Lane.CREATE, Patience(total=5.0, per_try=0.3))
    endless = then_endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    async with RawServer(endless) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamTimeout) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert failure.value.request_sent


async def test_request_has_the_header_fields_of_its_content() -> None:
    """Nothing is offered but plain JSON, and a request without content names no type."""
    largest = answer(200, json.dumps(CREATED).encode().ljust(65_536))
    answers = (largest, answer(200, json.dumps(NOT_STARTED)))
    async with RawServer(*answers) as server, face_client(server.url) as face:
        await face.create(SPEC, REQUEST_ID)
        await face.result(SESSION, REQUEST_ID)
    create, result = server.received
    fields = {
        "host": server.url.removeprefix("http://"),
        "user-agent": "face-liveness-broker",
        "accept": "application/json",
        "accept-encoding": "identity",
        "client-request-id": REQUEST_ID,
        "ocp-apim-subscription-key": KEY,
    }
    assert result.headers == fields
    content = {"content-type": "application/json", "content-length": str(len(create.body))}
    assert create.headers == fields | content


async def test_only_a_server_with_a_trusted_certificate_gets_the_request() -> None:
    """Nothing is sent to a server that cannot prove who it is."""
    authority = trustme.CA()
    tls, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trusting)
    async with RawServer(answer(200, json.dumps(CREATED)), tls=tls) as server:
        async with face_client(server.url) as distrusting:
            with pytest.raises(UpstreamFailure) as failure:
                await distrusting.create(SPEC, REQUEST_ID)
        assert (failure.value.request_sent, server.received) == (False, [])
        async with face_client(server.url, ssl_context=trusting) as face:
            await face.create(SPEC, REQUEST_ID)


async def test_proxy_and_password_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a proxy nor a password file that the environment names gets to see a request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    async with RawServer(answer(200)) as proxy, RawServer(answer(200, json.dumps(CREATED))) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with face_client(server.url) as face:
            await face.create(SPEC, REQUEST_ID)
    assert proxy.connections == 0
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize(("timed_out", "kind"), [(True, UpstreamTimeout), (False, UpstreamFailure)])
@in_virtual_time
async def test_request_without_an_answer_becomes_an_error_of_ours(
    sent: bool, timed_out: bool, kind: type[UpstreamError]
) -> None:
    """It says what happened, and whether Face may have got the request."""
    error = NoAnswer("SomeError", sent=sent, timed_out=timed_out)
    with pytest.raises(kind, match="SomeError") as failure:
        await ScriptedFace(error).client().create(SPEC, REQUEST_ID)
    assert failure.value.__cause__ is error
    assert failure.value.request_sent is sent


@pytest.mark.parametrize(
    "path",
    [
        "/face/v1.2/detectLiveness-sessions/../../v1.0/largepersongroups",
        *("", "/face/..", "/sessions/.", "/sessions#fragment", "/sessions two", "/sessions/\u00fc"),
        *("/sessions\r\nX-Injected: 1", "/sessions\0"),
        *("@127.0.0.1:1/", ":1/sessions", ".evil.example/sessions"),
        *("//127.0.0.1/sessions", "/sessions//a", "/sessions/", "/a/%2e%2e/b", "/a\\\\b", "/a?b=/c", "/a\n"),
    ],
    ids=ascii,
)
@in_virtual_time
async def test_path_that_could_be_read_as_another_is_not_requested(path: str) -> None:
    """Whatever a library or a server makes of a path: if that could be another one, there is no operation."""
    with pytest.raises(ValueError, match="path"):
        Operation("result", UpstreamRequest("GET", path), REQUEST_ID, Lane.READ)
