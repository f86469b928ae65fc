import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure
from shared.face.answers import UpstreamRequest, identifier, printable, read_created, read_json
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import CreatedSession, LivenessMode, SessionSpec
from tests.shared.face.doubles import CREATED, SESSION, TOKEN
from tests.support.http import answer_of

each_version = pytest.mark.parametrize("version", API_VERSIONS)


@pytest.mark.parametrize("media_type", ["", "text/html", "text/plain", "application/jsonp", "json", ";"])
def test_content_not_announced_as_json_is_an_upstream_failure(media_type: str) -> None:
    """JSON under another name is not read: it was made by something that is not Face."""
    with pytest.raises(UpstreamFailure, match="not announced as JSON"):
        read_json(answer_of(200, b"{}", {"content-type": media_type}))


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"]
)
def test_content_announced_as_json_is_read(media_type: str) -> None:
    """The media type counts, not its case or parameters."""
    assert read_json(answer_of(200, b'{"a": 1}', {"content-type": media_type})) == {"a": 1}


@pytest.mark.parametrize("status", [202, 204, 206])
def test_success_of_another_kind_is_an_upstream_failure(status: int) -> None:
    with pytest.raises(UpstreamFailure, match="unexpected status"):
        read_json(answer_of(status, b"{}"))


def test_failure_names_the_cause_and_the_call_but_no_value() -> None:
    """The log gets what is wrong, and no value: neither from the failure nor from what caused it."""
    with pytest.raises(UpstreamFailure, match="not strict JSON") as raised:
        read_json(answer_of(200, b'{"a": "canary-value"', {"apim-request-id": "4af681e9"}))
    assert raised.value.upstream_request_id == "4af681e9"
    assert "canary-value" not in repr(raised.value) + repr(raised.value.__cause__)
    with pytest.raises(UpstreamFailure, match="too large, or compressed"):
        read_json(replace(answer_of(200), unread=True))


def test_values_in_messages_are_in_no_repr() -> None:
    """The device id of a request and the body of an answer do not show up when they are printed."""
    request = UpstreamRequest("POST", "/sessions", {"deviceCorrelationId": "canary-device"})
    assert "canary" not in repr(request) + repr(answer_of(200, b"canary-token"))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("4af681e9-0e25-43e9-9922-a7adebf13b2f", True),
        ("FaceWithMaskDetected", True),
        *(
            (text, False)
            for text in ("a" * 129, "a b", "a\n", '{"event":"forged"}', "\N{FULLWIDTH DIGIT ONE}", "", None)
        ),
    ],
)
def test_text_is_an_identifier_only_of_safe_characters(text: str | None, is_one: bool) -> None:
    """Only a short run of ASCII letters, digits and a few signs may go on into logs and events."""
    assert identifier(text) == (text if is_one else None)


@given(st.text())
def test_any_text_made_printable_is_one_bounded_line(text: str) -> None:
    line = printable(text, 64)
    assert len(line) <= 64
    assert line.isprintable()


@each_version
def test_request_about_a_session_names_it_in_the_path(version: str) -> None:
    root = f"/face/{version}/detectLiveness"
    tail = "/singleModal/sessions/" if version == "v1.1-preview.1" else "-sessions/"
    assert load_version(version).request("GET", SESSION) == UpstreamRequest("GET", f"{root}{tail}{SESSION}")


@each_version
def test_client_names_its_device_if_the_spec_does_not(version: str) -> None:
    """The request of a create then has no device id."""
    content = load_version(version).create_request(SessionSpec(LivenessMode.PASSIVE, None, 60)).json
    assert content is not None
    assert content["deviceCorrelationIdSetInClient"] is True
    assert "deviceCorrelationId" not in content


def test_response_to_a_create_has_the_id_and_the_token() -> None:
    """Other fields are ignored, and the token is in no repr."""
    session = read_created(answer_of(200, json.dumps({"more": 1, **CREATED}).encode()))
    assert session == CreatedSession(SESSION, TOKEN)
    assert TOKEN not in repr(session)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        *({"sessionId": text, "authToken": TOKEN} for text in (None, 5, "", SESSION.upper(), f"{SESSION}\n")),
        *(
            {"sessionId": SESSION, "authToken": text}
            for text in (None, 5, "", "two words", f"{TOKEN}\n", "t\u00f6k\u00e9n", "a" * 4097)
        ),
    ],
    ids=lambda content: ascii(content)[:60],
)
def test_create_without_a_guid_and_a_usable_token_is_an_upstream_failure(content: object) -> None:
    """The id becomes part of later URLs, and the token of a header field: both have to be safe."""
    with pytest.raises(UpstreamFailure, match="not Face's contract"):
        read_created(answer_of(200, json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("version", "status"), [("v1.1-preview.1", 200), ("v1.2", 204), ("v1.3-preview.1", 204)]
)
def test_delete_is_confirmed_by_what_only_face_answers(version: str, status: int) -> None:
    """Each version has its status, without any content; a page, JSON or a body that was not read is no deletion."""
    confirm = load_version(version).require_deleted
    confirm(answer_of(status))
    others = [answer_of(other) for other in (200, 201, 202, 204, 206) if other != status]
    contents = [answer_of(status, body) for body in (b"<html>Please sign in</html>", b"{}", b'{"a":', b" ")]
    for wrong in (*others, *contents, replace(answer_of(status), unread=True)):
        with pytest.raises(UpstreamFailure, match="does not confirm a delete"):
            confirm(wrong)
