import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Protocol

import httpx
import pytest

from shared.errors import (
    BrokerError,
    KeyUnavailable,
    UpstreamError,
    UpstreamFailure,
    UpstreamQuotaExceeded,
    UpstreamSessionGone,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from shared.face import v1_1_preview_1, v1_2
from shared.face.budget import Budget
from shared.face.client import FaceClient
from shared.face.model import (
    AuditPage,
    CreatedSession,
    Face,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionStatus,
)
from shared.face.retries import Patience
from shared.face.versions import API_VERSIONS, load_version
from tests.shared.face.doubles import (
    CREATED,
    KEY,
    NOT_FOUND,
    NOT_IDS,
    REQUEST_ID,
    SESSION,
    SPEC,
    TOKEN,
    FakeCredential,
    RecordedSleep,
    created,
    face_client,
    not_found,
    not_started,
)
from tests.shared.face.fault_server import (
    Behaviour,
    FaultServer,
    answer,
    answer_json,
    close,
    closed_port,
    drip,
    raw,
    reset,
    silent,
)
from tests.support.time import run_in_virtual_time

SESSIONS = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"

denied = answer_json(401, {"error": {"code": "401", "message": "Access denied due to invalid key."}})
out_of_quota = answer_json(
    403,
    {
        "error": {
            "statusCode": 403,
            "message": "Out of call volume quota. Quota will be replenished in 2 days.",
        }
    },
)
in_26_seconds = answer_json(
    429, {"error": {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 26 seconds."}}
)
at_once = answer_json(429, {"error": {"code": "429", "message": "Slow down."}}, {"Retry-After": "0"})
internal_error = answer_json(500, {"error": {"code": "Unspecified", "message": "Internal server error"}})
bad_gateway = answer(502, b"<html><body>Bad gateway</body></html>", media_type="text/html")
unavailable = answer(503, headers={"Retry-After": "0"})
gateway_timeout = answer(504)

AMBIGUOUS = {
    "reset": reset,
    "closed": close,
    "silent": silent,
    "dripping": drip(b"HTTP/1.1 200 OK\r\n" * 100, 0.05),
    "half a body": raw(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"sess'),
    "junk": raw(b"\x16\x03\x01\x02\x00"),
    "500": internal_error,
    "502 HTML": bad_gateway,
    "503": unavailable,
    "504": gateway_timeout,
}
ambiguous = pytest.mark.parametrize("behaviour", list(AMBIGUOUS.values()), ids=list(AMBIGUOUS))


class _Make(Protocol):
    """Makes one call of the port."""

    def __call__(self, face: Face, request_id: str = REQUEST_ID) -> Awaitable[object]: ...


CALLS: dict[str, _Make] = {
    "create": lambda face, request_id=REQUEST_ID: face.create(SPEC, request_id),
    "result": lambda face, request_id=REQUEST_ID: face.result(SESSION, request_id),
    "delete": lambda face, request_id=REQUEST_ID: face.delete(SESSION, request_id),
    "check": lambda face, request_id=REQUEST_ID: face.check(request_id),
}
each_call = pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))


async def test_client_implements_the_port() -> None:
    """The client is a `Face`, and tells what its version can do."""
    async with face_client("http://127.0.0.1:1") as client:
        face: Face = client
        assert (face.api_version, face.modes, face.can_send_results_to_client) == (
            "v1.1-preview.1",
            (LivenessMode.PASSIVE,),
            True,
        )


async def test_create_sends_the_documented_request_and_reads_the_session() -> None:
    """A create is one POST with the credential, the request's id and the session's rules."""
    async with FaultServer(created) as server, face_client(server.url) as face:
        session = await face.create(SPEC, REQUEST_ID)
    (received,) = server.received
    assert session == CreatedSession(SESSION, TOKEN)
    assert (received.method, received.target) == ("POST", SESSIONS)
    assert received.headers["ocp-apim-subscription-key"] == KEY
    assert received.headers["client-request-id"] == REQUEST_ID
    assert received.json == v1_1_preview_1.create_request(SPEC).json


async def test_result_reads_the_session_of_the_id() -> None:
    """A result is one GET of the session's path."""
    async with FaultServer(not_started) as server, face_client(server.url) as face:
        result = await face.result(SESSION, REQUEST_ID)
    (received,) = server.received
    assert result == SessionResult(SessionStatus.NOT_STARTED)
    assert (received.method, received.target, received.body) == ("GET", f"{SESSIONS}/{SESSION}", b"")


async def test_other_version_is_spoken_where_it_is_given() -> None:
    """The same calls go to the paths of the version that the client was made with, and read its answers."""
    attempt = {"attemptId": 1, "attemptStatus": "Succeeded", "result": {"livenessDecision": "realface"}}
    answered = {"sessionId": SESSION, "status": "Succeeded", "results": {"attempts": [attempt]}}
    async with (
        FaultServer(created, answer_json(200, answered), answer(204)) as server,
        face_client(server.url, version=v1_2) as face,
    ):
        await face.create(SPEC, REQUEST_ID)
        result = await face.result(SESSION, REQUEST_ID)
        await face.delete(SESSION, REQUEST_ID)
    assert result.decision is LivenessDecision.REALFACE
    assert {received.target.removesuffix(f"/{SESSION}") for received in server.received} == {
        "/face/v1.2/detectLiveness-sessions"
    }


@pytest.mark.parametrize(
    "behaviour", [answer(200), answer(204), not_found], ids=["200 empty", "204", "404 SessionNotFound"]
)
async def test_delete_is_done_when_the_session_is_gone(behaviour: Behaviour) -> None:
    """Versions differ in how they confirm a delete, and a session that is gone is what was wanted."""
    async with FaultServer(behaviour) as server, face_client(server.url) as face:
        await face.delete(SESSION, REQUEST_ID)
    (received,) = server.received
    assert (received.method, received.target) == ("DELETE", f"{SESSIONS}/{SESSION}")


@pytest.mark.parametrize(
    "behaviour",
    [answer(202), answer_json(404, {"error": {"code": "404", "message": "Resource not found"}})],
    ids=["202", "404 of another kind"],
)
async def test_delete_with_another_answer_is_a_failure(behaviour: Behaviour) -> None:
    """A path that Face does not have is not a deleted session."""
    async with FaultServer(behaviour) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamFailure):
            await face.delete(SESSION, REQUEST_ID)


async def test_create_that_is_told_of_no_session_is_a_failure() -> None:
    """Whatever answers like that is not Face: the phone hears of an upstream that failed."""
    async with FaultServer(not_found) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamFailure):
            await face.create(SPEC, REQUEST_ID)


async def test_result_of_unknown_session_is_gone() -> None:
    """Face's SessionNotFound is an answer, and is not asked for again."""
    async with FaultServer(not_found) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamSessionGone):
            await face.result(SESSION, REQUEST_ID)
    assert len(server.received) == 1


@pytest.mark.parametrize("session_id", NOT_IDS)
async def test_id_that_is_no_guid_is_never_sent(session_id: str) -> None:
    """No text but a session id becomes part of a URL: such a session does not exist."""
    async with FaultServer(created) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamSessionGone):
            await face.result(session_id, REQUEST_ID)
        await face.delete(session_id, REQUEST_ID)
    assert server.connections == 0


@pytest.mark.parametrize(
    "request_id", ["", "1", f"{REQUEST_ID}\n", f"{REQUEST_ID}\r\nX-Injected: 1", "g" * 36]
)
@each_call
async def test_request_id_that_is_no_guid_is_refused(call: _Make, request_id: str) -> None:
    """What is not of the form of a GUID is not put into a header field."""
    async with FaultServer(created) as server, face_client(server.url) as face:
        with pytest.raises(ValueError, match="request id"):
            await call(face, request_id)
    assert server.connections == 0


@ambiguous
async def test_create_is_sent_once_where_a_session_may_exist(behaviour: Behaviour) -> None:
    """After anything that leaves open whether there is a session now, create is not sent again."""
    async with FaultServer(behaviour, created) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamError) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert len(server.received) == 1
    assert failure.value.request_sent
    assert type(failure.value) in (UpstreamFailure, UpstreamTimeout, UpstreamThrottled)


@ambiguous
async def test_result_is_read_after_two_failures(behaviour: Behaviour) -> None:
    """A read is sent again after anything that may pass, and the third answer counts."""
    async with FaultServer(behaviour, behaviour, not_started) as server, face_client(server.url) as face:
        assert await face.result(SESSION, REQUEST_ID) == SessionResult(SessionStatus.NOT_STARTED)
    assert len(server.received) == 3


@ambiguous
async def test_delete_is_repeated_and_gone_after_that(behaviour: Behaviour) -> None:
    """A delete that was cut off may have worked: that the session is gone then is a success."""
    async with FaultServer(behaviour, not_found) as server, face_client(server.url) as face:
        await face.delete(SESSION, REQUEST_ID)
    assert len(server.received) == 2


async def test_read_gives_up_after_three_tries() -> None:
    """The third failure is raised, after waits that grow."""
    sleep = RecordedSleep()
    async with FaultServer(bad_gateway) as server, face_client(server.url, sleep=sleep) as face:
        with pytest.raises(UpstreamFailure, match="502"):
            await face.result(SESSION, REQUEST_ID)
    assert len(server.received) == 3
    assert sleep.waits == [0.2, 0.4]


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (
            answer_json(400, {"error": {"code": "InvalidDeviceCorrelationId", "message": "x"}}),
            UpstreamFailure,
        ),
        (denied, UpstreamUnauthorized),
        (out_of_quota, UpstreamQuotaExceeded),
        (answer_json(404, {"error": {"code": "404", "message": "Resource not found"}}), UpstreamFailure),
        (
            answer_json(409, {"error": {"code": "ConcurrentOperationConflict", "message": "x"}}),
            UpstreamFailure,
        ),
        (answer_json(415, {"error": {"code": "BadArgument", "message": "x"}}), UpstreamFailure),
        (answer(302, headers={"Location": "/elsewhere"}), UpstreamFailure),
        (answer_json(200, ["no", "object"]), UpstreamFailure),
        (answer(200, b"<html></html>", media_type="text/html"), UpstreamFailure),
        (answer(204), UpstreamFailure),
    ],
    ids=["400", "401", "403 quota", "404", "409", "415", "302", "200 list", "200 HTML", "204"],
)
@pytest.mark.parametrize("call", [CALLS["create"], CALLS["result"]], ids=["create", "result"])
async def test_definite_failure_is_not_repeated(
    call: _Make, behaviour: Behaviour, kind: type[UpstreamError]
) -> None:
    """What will not change in a moment is raised after one request."""
    async with FaultServer(behaviour) as server, face_client(server.url) as face:
        with pytest.raises(kind) as failure:
            await call(face)
    assert len(server.received) == 1
    assert failure.value.request_sent


@each_call
async def test_call_without_connection_is_repeated_and_certain(
    call: _Make,
) -> None:
    """Where no connection can be had, three tries are made, also for a create, and nothing was sent."""
    sleep = RecordedSleep()
    async with face_client(f"http://127.0.0.1:{closed_port()}", sleep=sleep) as face:
        with pytest.raises(UpstreamFailure) as failure:
            await call(face)
    assert not failure.value.request_sent
    assert len(sleep.waits) == 2


async def test_create_succeeds_once_there_is_a_connection() -> None:
    """A create that could not be sent at first is sent once."""
    port = closed_port()
    server = FaultServer(created, port=port)

    class _Start(RecordedSleep):
        async def __call__(self, seconds: float) -> None:
            await server.__aenter__()

    async with face_client(f"http://127.0.0.1:{port}", sleep=_Start()) as face:
        assert (await face.create(SPEC, REQUEST_ID)).session_id == SESSION
        await server.__aexit__(None, None, None)
    assert len(server.received) == 1


async def test_request_counts_as_sent_when_an_earlier_try_was() -> None:
    """A last try that never left does not hide that an earlier one did."""
    server = FaultServer(at_once)

    class _Stop(RecordedSleep):
        async def __call__(self, seconds: float) -> None:
            await server.__aexit__(None, None, None)

    async with server, face_client(server.url, sleep=_Stop()) as face:
        with pytest.raises(UpstreamFailure) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert isinstance(failure.value.__cause__, httpx.ConnectError)
    assert failure.value.request_sent


@each_call
async def test_refused_key_is_renewed_and_the_call_replayed(
    call: _Make,
) -> None:
    """After a 401 the credential is renewed once and the same request sent with the new key."""
    credential = FakeCredential("old", "new")

    def face_with(key: str) -> Behaviour:
        return denied if key == "old" else answered

    answered = created if call is CALLS["create"] else not_started if call is CALLS["result"] else not_found
    async with (
        FaultServer(face_with("old"), face_with("new")) as server,
        face_client(server.url, credential=credential) as face,
    ):
        await call(face)
    assert [received.headers["ocp-apim-subscription-key"] for received in server.received] == ["old", "new"]
    assert len({(received.target, received.body) for received in server.received}) == 1
    assert credential.refused == [{"Ocp-Apim-Subscription-Key": "old"}]


async def test_second_refusal_is_final() -> None:
    """A key is renewed once in a call, however many there are."""
    credential = FakeCredential("first", "second", "third")
    async with FaultServer(denied) as server, face_client(server.url, credential=credential) as face:
        with pytest.raises(UpstreamUnauthorized):
            await face.create(SPEC, REQUEST_ID)
    assert len(server.received) == 2
    assert len(credential.refused) == 1


async def test_403_renews_nothing() -> None:
    """A key that is known but not allowed is not renewed."""
    credential = FakeCredential("old", "new")
    forbidden = answer_json(403, {"error": {"code": "UnsupportedFeature", "message": "Not approved."}})
    async with FaultServer(forbidden) as server, face_client(server.url, credential=credential) as face:
        with pytest.raises(UpstreamUnauthorized):
            await face.result(SESSION, REQUEST_ID)
    assert not credential.refused


async def test_key_that_cannot_be_had_is_passed_on() -> None:
    """Without a credential nothing is sent."""

    class _NoCredential(FakeCredential):
        async def headers(self) -> dict[str, str]:
            raise KeyUnavailable("the vault is away")

    async with FaultServer(created) as server, face_client(server.url, credential=_NoCredential()) as face:
        with pytest.raises(KeyUnavailable) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert not failure.value.request_sent
    assert server.connections == 0


async def test_key_that_is_gone_after_a_refusal_was_sent_before() -> None:
    """Face got the request with the old key: that it is not known whether anything was used up must not get lost."""

    class _NoNewer(FakeCredential):
        async def renew(self, refused: Mapping[str, str]) -> bool:
            raise KeyUnavailable("the vault has none any more")

    async with FaultServer(denied) as server, face_client(server.url, credential=_NoNewer()) as face:
        with pytest.raises(KeyUnavailable) as unavailable:
            await face.create(SPEC, REQUEST_ID)
    assert unavailable.value.request_sent
    assert len(server.received) == 1


async def test_wait_that_is_too_long_is_told_at_once() -> None:
    """A 429 of 26 seconds is not waited for within the call: the caller learns the 26 seconds."""
    sleep = RecordedSleep()
    async with FaultServer(in_26_seconds) as server, face_client(server.url, sleep=sleep) as face:
        with pytest.raises(UpstreamThrottled) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert failure.value.retry_after == 26.0
    assert failure.value.request_sent
    assert (len(server.received), sleep.waits) == (1, [])


async def test_after_a_429_nobody_calls_until_the_wait_is_over() -> None:
    """The wait that one call was told holds for all: the others are refused without a request."""
    async with FaultServer(in_26_seconds, created) as server, face_client(server.url) as face:
        for sent in (True, False):
            with pytest.raises(UpstreamThrottled) as failure:
                await face.result(SESSION, REQUEST_ID)
            assert failure.value.request_sent == sent
            assert 10 < (failure.value.retry_after or 0) <= 26
    assert len(server.received) == 1


async def test_throttled_create_is_repeated_where_the_wait_fits() -> None:
    """A 429 made no session: after a wait that fits into the call, create is sent again."""
    async with FaultServer(at_once, created) as server, face_client(server.url) as face:
        assert (await face.create(SPEC, REQUEST_ID)).session_id == SESSION
    assert len(server.received) == 2


async def test_quota_is_told_with_its_wait() -> None:
    """A quota that is used up for days is told as a day, and is not tried again."""
    async with FaultServer(out_of_quota) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamQuotaExceeded) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert failure.value.retry_after == 86_400.0


async def test_drip_is_cut_at_the_deadline_of_the_call() -> None:
    """However long a try may take, all of a call ends at its deadline."""
    patience = Patience(total=0.3, per_try=60.0)
    dripping = drip(b"HTTP/1.1 200 OK\r\n" * 100, 0.02)
    async with FaultServer(dripping) as server, face_client(server.url, patience=patience) as face:
        with pytest.raises(UpstreamTimeout) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert failure.value.request_sent


async def test_deadline_holds_for_the_credential_too() -> None:
    """A credential that does not come ends the call at its deadline, with nothing sent."""

    class _Stuck(FakeCredential):
        async def headers(self) -> dict[str, str]:
            await asyncio.Event().wait()
            return {}

    patience = Patience(total=0.05, per_try=60.0)
    async with face_client("http://127.0.0.1:1", credential=_Stuck(), patience=patience) as face:
        with pytest.raises(UpstreamTimeout) as failure:
            await face.create(SPEC, REQUEST_ID)
    assert not failure.value.request_sent


async def test_cancellation_is_passed_on() -> None:
    """Who gives a call up gets the cancellation, not an error, and the client goes on working."""
    async with FaultServer(silent, created) as server, face_client(server.url) as face:
        given_up = asyncio.ensure_future(face.create(SPEC, REQUEST_ID))
        await server.asked.wait()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (await face.create(SPEC, REQUEST_ID)).session_id == SESSION


async def test_check_asks_for_the_session_that_cannot_exist() -> None:
    """That Face knows no session with the nil id shows that endpoint and credential fit."""
    async with FaultServer(not_found) as server, face_client(server.url) as face:
        await face.check(REQUEST_ID)
    assert server.received[0].target == f"{SESSIONS}/00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (denied, UpstreamUnauthorized),
        (answer_json(404, {"error": {"code": "404", "message": "Resource not found"}}), UpstreamFailure),
        (not_started, UpstreamFailure),
        (bad_gateway, UpstreamFailure),
    ],
    ids=["401", "404 of another kind", "another session", "502"],
)
async def test_check_fails_where_something_does_not_fit(
    behaviour: Behaviour, kind: type[UpstreamError]
) -> None:
    """A wrong key, a version that the endpoint lacks and a broken Face are told apart."""
    async with FaultServer(behaviour) as server, face_client(server.url) as face:
        with pytest.raises(kind):
            await face.check(REQUEST_ID)


@pytest.mark.parametrize("made_with", API_VERSIONS)
async def test_session_is_asked_for_in_the_version_that_it_was_made_with(made_with: str) -> None:
    """Whatever version is spoken by now."""
    missing = answer_json(404, NOT_FOUND)
    async with FaultServer(missing, missing) as server, face_client(server.url) as face:
        with pytest.raises(UpstreamSessionGone):
            await face.result(SESSION, REQUEST_ID, api_version=made_with)
        await face.delete(SESSION, REQUEST_ID, api_version=made_with)

    version = load_version(made_with)
    assert [request.target for request in server.received] == [
        version.result_request(SESSION).path,
        version.delete_request(SESSION).path,
    ]


async def test_session_of_a_version_without_an_audit_has_none() -> None:
    """It is not asked for in the version that is spoken by now."""
    async with FaultServer(answer_json(200, [])) as server, face_client(server.url) as face:
        assert await face.audit(SESSION, AuditPage(), REQUEST_ID, api_version="v1.2") is None
        assert await face.audit(SESSION, AuditPage(), REQUEST_ID, api_version="v1.1-preview.1") == ()


async def test_version_that_is_not_spoken_here_is_trouble() -> None:
    """After a rollback there may be sessions of a later release: they are not gone, and nothing is sent."""
    async with FaultServer(not_found) as server, face_client(server.url) as face:
        for call in (face.result, face.delete):
            with pytest.raises(UpstreamFailure, match="not spoken here"):
                await call(SESSION, REQUEST_ID, api_version="v9")
    assert server.received == []


async def test_each_request_leaves_one_event(caplog: pytest.LogCaptureFixture) -> None:
    """A try is logged with what a support case needs: operation, status, both request ids."""
    failing = answer_json(500, {"error": {"code": "Unspecified"}}, {"apim-request-id": "first"})
    missing = answer_json(404, NOT_FOUND, {"apim-request-id": "second"})
    caplog.set_level(logging.INFO, logger="shared.face")
    async with FaultServer(failing, missing) as server, face_client(server.url) as face:
        await face.delete(SESSION, REQUEST_ID)
    events = [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "shared.face.calls"
    ]
    for event in events:
        assert event.pop("milliseconds") >= 0
    assert events == [
        {
            "event": "face_called",
            "operation": "delete",
            "attempt": 1,
            "status": 500,
            "error": "UpstreamFailure",
            "detail": "Face answered 500 Unspecified",
            "requestId": REQUEST_ID,
            "upstreamRequestId": "first",
        },
        {
            "event": "face_called",
            "operation": "delete",
            "attempt": 2,
            "status": 404,
            "error": "UpstreamSessionGone",
            "requestId": REQUEST_ID,
            "upstreamRequestId": "second",
        },
    ]


CANARY_DEVICE = "canary-device-id"
CANARY_TOKEN = "canary-auth-token"
leaking = answer_json(400, {"error": {"code": f"{CANARY_TOKEN} x", "message": CANARY_DEVICE}})
unusable = answer_json(200, {"sessionId": 5, "authToken": CANARY_TOKEN})


@pytest.mark.parametrize(
    "behaviour",
    [*AMBIGUOUS.values(), denied, out_of_quota, in_26_seconds, leaking, unusable, answer_json(200, CREATED)],
    ids=[*AMBIGUOUS, "401", "403", "429", "400 with canaries", "200 unusable", "200"],
)
@each_call
async def test_secrets_are_in_no_repr_log_or_error(
    call: _Make, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, with every logger at DEBUG, no key, token or device id is seen anywhere."""
    caplog.set_level(logging.DEBUG)
    seen = ""
    async with FaultServer(behaviour) as server, face_client(server.url) as face:
        try:
            await call(face)
        except BrokerError as error:
            seen += "".join(traceback.format_exception(error)) + repr(vars(error))
        seen += (
            repr(face)
            + repr(vars(face))
            + repr([vars(part) for part in vars(face).values() if hasattr(part, "__dict__")])
        )
    for record in caplog.records:
        if record.name.startswith("shared"):
            assert record.getMessage().isascii()
        seen += record.getMessage() + str(record.__dict__)
    assert server.received[0].headers["ocp-apim-subscription-key"] == KEY
    for canary in (KEY, TOKEN, CANARY_TOKEN, CANARY_DEVICE):
        assert canary not in seen


def _virtual(handler: Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]) -> FaceClient:
    return FaceClient(
        httpx.MockTransport(handler),
        "http://127.0.0.1:1",
        v1_1_preview_1,
        FakeCredential(),
        Budget(10, monotonic=asyncio.get_running_loop().time),
        random=lambda: 1.0,
    )


def _json(status: int, content: object) -> httpx.Response:
    stream = httpx.ByteStream(json.dumps(content).encode())
    return httpx.Response(status, headers={"Content-Type": "application/json"}, stream=stream)


async def _time_of(call: Awaitable[object]) -> tuple[type[BaseException] | None, float]:
    try:
        await call
    except UpstreamError as error:
        return type(error), round(asyncio.get_running_loop().time(), 3)
    return None, round(asyncio.get_running_loop().time(), 3)


@pytest.mark.parametrize(
    ("call", "requests", "seconds"), [("create", 1, 8.0), ("result", 2, 4.2), ("delete", 2, 4.2)]
)
def test_silent_face_costs_no_more_than_the_deadline(call: str, requests: int, seconds: float) -> None:
    """With the deadlines of production, a Face that never answers holds nobody for longer than designed."""
    asked: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits that long")

    async def scenario() -> tuple[type[BaseException] | None, float]:
        return await _time_of(CALLS[call](_virtual(handler)))

    assert run_in_virtual_time(scenario()) == (UpstreamTimeout, seconds)
    assert len(asked) == requests


def test_create_waits_for_a_429_that_fits() -> None:
    """With the deadlines of production, a 429 of three seconds is waited for, and create sent again after it."""
    asked: list[float] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append(asyncio.get_running_loop().time())
        message = "Rate limit is exceeded. Try again in 3 seconds."
        return (
            _json(200, CREATED)
            if len(asked) > 1
            else _json(429, {"error": {"statusCode": 429, "message": message}})
        )

    async def scenario() -> tuple[type[BaseException] | None, float]:
        return await _time_of(_virtual(handler).create(SPEC, REQUEST_ID))

    assert run_in_virtual_time(scenario()) == (None, 3.2)
    assert asked == [0.0, pytest.approx(3.2)]


def test_calls_keep_to_the_budget() -> None:
    """A hundred polls at once do not exceed the budget, and a create that comes after them is served at once."""
    asked: list[tuple[str, float]] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, asyncio.get_running_loop().time()))
        if request.method == "POST":
            return _json(200, CREATED)
        return _json(404, NOT_FOUND)

    async def scenario() -> list[object]:
        face = _virtual(handler)
        polls = [asyncio.ensure_future(face.check(REQUEST_ID)) for _ in range(100)]
        await asyncio.sleep(0)
        await face.create(SPEC, REQUEST_ID)
        return await asyncio.gather(*polls, return_exceptions=True)

    outcomes = run_in_virtual_time(scenario())
    refused = [outcome for outcome in outcomes if isinstance(outcome, UpstreamThrottled)]
    assert len(asked) + len(refused) == 101
    assert not any(error.request_sent for error in refused)
    assert ("POST", 0.0) in asked
    assert len(asked) <= 5 + 10 * max(when for _, when in asked)
