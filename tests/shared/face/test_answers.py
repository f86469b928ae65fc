import json
import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure
from shared.face.answers import (
    Part,
    UpstreamRequest,
    UpstreamResponse,
    failure,
    identifier,
    printable,
    read,
    read_created,
    status_of,
    verdict,
)
from shared.face.client import load_version
from shared.face.endpoint import API_VERSIONS
from shared.face.model import (
    CreatedSession,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionSpec,
    SessionStatus,
)
from tests.shared.face.doubles import CREATED, NOT_IDS, SESSION, TOKEN, response
from tests.shared.face.json_values import unhurried


class Sample(Part):
    """Some part of some answer."""

    some_count: int
    some_text: str | None = None


def test_named_fields_are_read_and_others_are_not() -> None:
    """An answer is read by allow-list: a field that is not named leaves no trace."""
    sample = read(Sample, response(200, b'{"someCount": 1, "authToken": "secret", "someText": "a"}'))
    assert sample.model_dump() == {"some_count": 1, "some_text": "a"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"someCount": 1',
        b'{"someCount": 1} trailing',
        b'{"someCount": "1"}',
        b'{"someCount": 1.0}',
        b'{"someCount": true}',
        b'{"someCount": null}',
        b'{"someText": "a"}',
        b'{"someCount": 1, "someText": 2}',
        b'{"someCount": 1, "someCount": 2}',
        b'{"someCount": 1, "other": NaN}',
        b'{"someCount": 1, "other": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"\xef\xbb\xbf" + b'{"someCount": 1}',
        b'{"someCount": ' + b"1" * 5_000 + b"}",
        b"<html><body>Bad gateway</body></html>",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_body_that_is_not_the_contract_is_an_upstream_failure(body: bytes) -> None:
    """Junk, wrong types, doubled names, endless or deep JSON: all the same failure, and no other exception."""
    with pytest.raises(UpstreamFailure, match="not Face's contract"):
        read(Sample, response(200, body))


@pytest.mark.parametrize("status", [202, 204, 206])
def test_success_of_another_kind_is_an_upstream_failure(status: int) -> None:
    """A success that the contract does not have is not read."""
    with pytest.raises(UpstreamFailure, match="unexpected status"):
        read(Sample, response(status, b'{"someCount": 1}'))


@pytest.mark.parametrize("media_type", ["", "text/html", "text/plain", "application/jsonp", "json", ";"])
def test_content_not_announced_as_json_is_an_upstream_failure(media_type: str) -> None:
    """JSON under another name is not read: it was made by something that is not Face."""
    with pytest.raises(UpstreamFailure, match="not announced as JSON"):
        read(Sample, response(200, b'{"someCount": 1}', {"content-type": media_type}))


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"]
)
def test_content_announced_as_json_is_read(media_type: str) -> None:
    """The media type counts, not its case or parameters."""
    sample = read(Sample, response(200, b'{"someCount": 1}', {"content-type": media_type}))
    assert sample.some_count == 1


def test_failure_names_the_place_and_the_call_but_no_value(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong is named for the log, the value is not: neither in the failure nor in what caused it."""
    body = b'{"someCount": "canary-value"}'
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(UpstreamFailure, match="int_type at someCount") as raised,
    ):
        read(Sample, response(200, body, {"apim-request-id": "4af681e9"}))
    assert raised.value.upstream_request_id == "4af681e9"
    logging.getLogger("test").error("failed", exc_info=raised.value)
    assert "canary-value" not in caplog.text + repr(raised.value) + repr(raised.value.__cause__)


def test_values_in_messages_are_in_no_repr() -> None:
    """The device id of a request and the body of an answer do not show up when they are printed."""
    request = UpstreamRequest("POST", "/sessions", {"deviceCorrelationId": "canary-device"})
    answer = UpstreamResponse(200, {}, b"canary-token")
    assert "canary" not in repr(request) + repr(answer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4af681e9-0e25-43e9-9922-a7adebf13b2f", "4af681e9-0e25-43e9-9922-a7adebf13b2f"),
        ("FaceWithMaskDetected", "FaceWithMaskDetected"),
        ("a" * 129, None),
        ("a b", None),
        ("a\n", None),
        ('{"event":"forged"}', None),
        ("\N{FULLWIDTH DIGIT ONE}", None),
        ("", None),
        (None, None),
    ],
)
def test_text_is_an_identifier_only_of_safe_characters(text: str | None, expected: str | None) -> None:
    """Only a short run of ASCII letters, digits and a few signs may go on into logs and events."""
    assert identifier(text) == expected


@unhurried
@given(st.text())
def test_any_text_made_printable_is_one_bounded_line(text: str) -> None:
    """Whatever a message holds, what is passed on is one line of at most the length asked for."""
    line = printable(text, 64)
    assert len(line) <= 64
    assert line.isprintable()


@pytest.mark.parametrize("version", API_VERSIONS)
def test_request_about_a_session_names_it_in_the_path(version: str) -> None:
    """A session is read and deleted under its own path."""
    root = f"/face/{version}/detectLiveness"
    tail = "/singleModal/sessions/" if version == "v1.1-preview.1" else "-sessions/"
    assert load_version(version).request("GET", SESSION) == UpstreamRequest("GET", f"{root}{tail}{SESSION}")


@pytest.mark.parametrize("version", API_VERSIONS)
def test_client_names_its_device_if_the_spec_does_not(version: str) -> None:
    """The request of a create then has no device id."""
    content = load_version(version).create_request(SessionSpec(LivenessMode.PASSIVE, None, 60)).json
    assert content is not None
    assert content["deviceCorrelationIdSetInClient"] is True
    assert "deviceCorrelationId" not in content


def test_response_to_a_create_has_the_id_and_the_token() -> None:
    """Other fields are ignored, and the token is in no repr."""
    session = read_created(response(200, json.dumps({"more": 1, **CREATED}).encode()))
    assert session == CreatedSession(SESSION, TOKEN)
    assert TOKEN not in repr(session)


@pytest.mark.parametrize("session_id", [None, 5, *NOT_IDS])
def test_create_without_a_guid_is_an_upstream_failure(session_id: object) -> None:
    """An id that is not a GUID in lower case would be unsafe in later URLs."""
    with pytest.raises(UpstreamFailure):
        read_created(response(200, json.dumps({"sessionId": session_id, "authToken": TOKEN}).encode()))


@pytest.mark.parametrize("token", [None, "", "two words", f"{TOKEN}\n", "t\u00f6k\u00e9n", "a" * 4097])
def test_create_without_a_usable_token_is_an_upstream_failure(token: object) -> None:
    """A token is bounded, printable ASCII."""
    with pytest.raises(UpstreamFailure):
        read_created(response(200, json.dumps({"sessionId": SESSION, "authToken": token}).encode()))


def test_body_that_was_not_read_is_named_as_the_cause() -> None:
    """The log says why there is no content."""
    with pytest.raises(UpstreamFailure, match="too large, or compressed"):
        read(Sample, replace(response(200), unread=True))


def test_unknown_status_is_not_final_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It leaves a warning of one line."""
    assert status_of("Something\nnew", {}) is SessionStatus.STARTED
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert json.loads(record.getMessage()) == {"event": "face_status_unknown", "status": "Something new"}


@unhurried
@given(st.text() | st.sampled_from(["realface", "realFace", "spoofface", "Uncertain", " realface", "real"]))
def test_decision_is_read_whatever_its_case_and_an_unknown_one_is_a_failure(text: str) -> None:
    """Only `realface` can pass."""
    known = {decision.value: decision for decision in LivenessDecision}
    unknown = Failure("UnknownDecision", "The attempt ended with a decision that is not known.")
    assert verdict(text) == known.get(text.lower(), unknown)


@pytest.mark.parametrize(
    ("code", "message", "ended_as", "expected"),
    [
        ("InvalidFace", "No face.\nReally.", "status 400", Failure("InvalidFace", "No face. Really.")),
        (None, None, "Failed", Failure("Failed", "The attempt ended with Failed.")),
        ("two words", "x" * 1000, "status 400", Failure("Unspecified", "x" * 256)),
        ("a b", "x\u202ey" * 200, "Failed", Failure("Failed", ("x y" * 86)[:256])),
        (None, None, "two\nwords", Failure("Unspecified", "The attempt ended with two words.")),
    ],
)
def test_failure_is_told_in_safe_words(
    code: str | None, message: str | None, ended_as: str, expected: Failure
) -> None:
    """A code is an identifier, and a message is one bounded line."""
    assert failure(code, message, ended_as) == expected
