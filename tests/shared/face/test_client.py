import json
from contextlib import nullcontext

import pytest

from shared.errors import UpstreamError, UpstreamFailure, UpstreamSessionGone, UpstreamUnauthorized
from shared.face import v1_1_preview_1
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import AuditPage, CreatedSession, LivenessMode, SessionResult, SessionStatus
from tests.shared.face import test_v1_1_preview_1, test_v1_2
from tests.shared.face.doubles import (
    CREATED,
    NOT_FOUND,
    NOT_STARTED,
    REQUEST_ID,
    SESSION,
    SPEC,
    TOKEN,
    ScriptedFace,
    Step,
)

SESSIONS = "/face/v1.1-preview.1/detectLiveness/singleModal/sessions"
GONE: Step = (404, NOT_FOUND)
OTHER_404: Step = (404, {"error": {"code": "404", "message": "Resource not found"}})

_NEW = test_v1_2.session("Succeeded", test_v1_2.SPOOF | {"attemptId": 1}, test_v1_2.REAL)
ENTRY = test_v1_1_preview_1.ENTRY
SPOOFED = ENTRY | {"response": test_v1_1_preview_1.SPOOFED}
AVAILABLE = {
    "v1.1-preview.1": test_v1_1_preview_1.with_result(test_v1_1_preview_1.REAL),
    "v1.2": _NEW,
    "v1.3-preview.1": _NEW,
}


def test_versions_are_found_under_their_own_names() -> None:
    both = (LivenessMode.PASSIVE, LivenessMode.PASSIVE_ACTIVE)
    found = [
        (version.name, version.modes, version.can_send_results_to_client)
        for version in map(load_version, API_VERSIONS)
    ]
    assert found == [
        ("v1.1-preview.1", (LivenessMode.PASSIVE,), True),
        ("v1.2", both, False),
        ("v1.3-preview.1", both, False),
    ]


async def test_create_posts_the_options_of_the_session() -> None:
    server = ScriptedFace((200, CREATED))
    assert await server.client().create(SPEC, REQUEST_ID) == CreatedSession(SESSION, TOKEN)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", SESSIONS)
    assert json.loads(request.content) == v1_1_preview_1.VERSION.create_request(SPEC).json


async def test_result_reads_the_session_of_the_id() -> None:
    server = ScriptedFace((200, NOT_STARTED))
    assert await server.client().result(SESSION, REQUEST_ID) == SessionResult(SessionStatus.NOT_STARTED)
    (request,) = server.requests
    assert (request.method, request.path, request.content) == ("GET", f"{SESSIONS}/{SESSION}", b"")


@pytest.mark.parametrize("step", [(200, b""), GONE], ids=["200 empty", "404 SessionNotFound"])
async def test_delete_is_done_when_the_session_is_gone(step: Step) -> None:
    server = ScriptedFace(step)
    await server.client().delete(SESSION, REQUEST_ID)
    (request,) = server.requests
    assert (request.method, request.path) == ("DELETE", f"{SESSIONS}/{SESSION}")


@pytest.mark.parametrize("step", [(200, b"<html>Please sign in</html>"), OTHER_404], ids=["HTML", "404"])
async def test_delete_is_done_only_if_face_said_so(step: Step) -> None:
    """An answer of something in front of Face deletes nothing: the token would still work."""
    with pytest.raises(UpstreamFailure) as failure:
        await ScriptedFace(step).client().delete(SESSION, REQUEST_ID)
    assert failure.value.request_sent


@pytest.mark.parametrize("step", [(200, {"sessionId": 5, "authToken": TOKEN}), GONE], ids=["no GUID", "gone"])
async def test_create_with_an_unusable_response_is_not_repeated(step: Step) -> None:
    """A session may exist. A create that is answered as if it were about a session is a failure of Face."""
    server = ScriptedFace(step)
    with pytest.raises(UpstreamFailure) as failure:
        await server.client().create(SPEC, REQUEST_ID)
    assert failure.value.request_sent
    assert len(server.requests) == 1


@pytest.mark.parametrize("session_id", ["", "..", f"{SESSION}/audit", SESSION.upper(), f"{SESSION}\n"])
async def test_id_that_is_not_a_guid_is_never_sent(session_id: str) -> None:
    """Only a session id becomes part of a URL: with another text there is no such session."""
    server = ScriptedFace((200, []))
    face = server.client()
    for read in (face.result(session_id, REQUEST_ID), face.audit(session_id, AuditPage(), REQUEST_ID)):
        with pytest.raises(UpstreamSessionGone):
            await read
    await face.delete(session_id, REQUEST_ID)
    assert not server.requests


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (GONE, None),
        ((401, b""), UpstreamUnauthorized),
        (OTHER_404, UpstreamFailure),
        ((200, NOT_STARTED), UpstreamFailure),
        ((501, b""), UpstreamFailure),
    ],
    ids=["404 SessionNotFound", "401", "404 of another kind", "another session", "501"],
)
async def test_check_fails_if_endpoint_or_credential_is_wrong(
    step: Step, kind: type[UpstreamError] | None
) -> None:
    """SessionNotFound for the nil id is right; a wrong key, a missing version and a broken Face have their errors."""
    server = ScriptedFace(step)
    with pytest.raises(kind) if kind else nullcontext():
        await server.client().check(REQUEST_ID)
    assert server.requests[0].path == f"{SESSIONS}/00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("made_with", API_VERSIONS)
async def test_session_is_read_in_the_version_that_created_it(made_with: str) -> None:
    """The configured version does not matter for a session of another one."""
    server, version = ScriptedFace(GONE), load_version(made_with)
    with pytest.raises(UpstreamSessionGone):
        await server.client().result(SESSION, REQUEST_ID, api_version=made_with)
    await server.client().delete(SESSION, REQUEST_ID, api_version=made_with)
    assert {request.path for request in server.requests} == {version.request("GET", SESSION).path}


async def test_session_of_a_version_without_an_audit_has_none() -> None:
    """Its audit is None without a request, also if the configured version has an audit."""
    server = ScriptedFace((200, []))
    face = server.client()
    assert await face.audit(SESSION, AuditPage(), REQUEST_ID, api_version="v1.2") is None
    assert not server.requests
    assert await face.audit(SESSION, AuditPage(3, 7), REQUEST_ID, api_version="v1.1-preview.1") == ()
    assert server.requests[0].path == f"{SESSIONS}/{SESSION}/audit?start=3&top=7"


@pytest.mark.parametrize("made_with", API_VERSIONS)
async def test_result_tells_all_attempts_whatever_the_version_shows(made_with: str) -> None:
    """The first version shows the last attempt alone: its audit is read too, and its failure is one of the result."""
    entries = [entry | {"id": number} for number, entry in enumerate((SPOOFED, ENTRY), 1)]
    server = ScriptedFace((200, AVAILABLE[made_with]), (200, entries), (200, AVAILABLE[made_with]), (500, {}))
    result = await server.client().result(SESSION, REQUEST_ID, api_version=made_with)
    has_audit = load_version(made_with).read_audit is not None

    assert (result.decisions, result.attempts) == (((1, "spoofface"), (2, "realface")), 2)
    assert len(server.requests) == 1 + has_audit
    if has_audit:
        with pytest.raises(UpstreamFailure):
            await server.client().result(SESSION, REQUEST_ID, api_version=made_with)


async def test_started_session_shows_its_earlier_attempts() -> None:
    """The first version hides them while another one runs: its audit is read, unless nobody started the session."""
    server = ScriptedFace(
        (200, {"id": SESSION, "status": "Started"}),
        (200, [SPOOFED]),
        (200, {"id": SESSION, "status": "NotStarted"}),
    )
    face = server.client()
    started = await face.result(SESSION, REQUEST_ID, api_version="v1.1-preview.1")
    await face.result(SESSION, REQUEST_ID, api_version="v1.1-preview.1")

    assert (started.status, started.attempts) == (SessionStatus.STARTED, 1)
    assert started.decisions == ((4, "spoofface"),)
    assert len(server.requests) == 3


async def test_unsupported_version_is_a_failure() -> None:
    """After a rollback there may be sessions of a later release: they are not gone, and nothing is sent."""
    server = ScriptedFace(GONE)
    face = server.client()
    for call in (face.result, face.delete):
        with pytest.raises(UpstreamFailure, match="does not support"):
            await call(SESSION, REQUEST_ID, api_version="v9")
    assert not server.requests
