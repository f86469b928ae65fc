import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face.answers import (
    Part,
    UpstreamRequest,
    UpstreamResponse,
    identifier,
    printable,
    read,
    session_path,
)
from tests.shared.face.doubles import NOT_IDS, SESSION, response
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
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"someCount": 1',
        b'{"someCount": 1} trailing',
        b'{"someCount": "1"}',
        b'{"someCount": 1.0}',
        b'{"someCount": true}',
        b'{"someCount": null}',
        b'{"someText": "a"}',
        b'{"someCount": 1, "someText": 2}',
        b'{"someCount": 1, "someCount": 2}',
        b'{"someCount": 1, "other": {"a": 1, "a": 2}}',
        b'{"someCount": 1, "other": NaN}',
        b'{"someCount": 1, "other": -Infinity}',
        b'{"someCount": 1, "other": 1e999}',
        b'{"someCount": 1, "other": "\\ud800"}',
        b'{"someCount": ' + b"1" * 5_000 + b"}",
        b'{"someCount": 1, "other": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"[" * 60_000,
        b"\xef\xbb\xbf" + b'{"someCount": 1}',
        b'{"someCount": 1, "someText": "\xff"}',
        '{"someCount": 1}'.encode("utf-16"),
        '{"someCount": 1}'.encode("utf-32"),
        b"<html><body>Bad gateway</body></html>",
        b"\x1f\x8b\x08\x00",
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
        pytest.raises(UpstreamFailure, match="int_type at someCount") as failure,
    ):
        read(Sample, response(200, body, {"apim-request-id": "4af681e9"}))
    assert failure.value.upstream_request_id == "4af681e9"
    logging.getLogger("test").error("failed", exc_info=failure.value)
    assert "canary-value" not in caplog.text + repr(failure.value) + repr(failure.value.__cause__)


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


def test_path_of_a_session_ends_with_its_id() -> None:
    """The id is the last part of the path."""
    assert session_path("/sessions", SESSION) == f"/sessions/{SESSION}"


@pytest.mark.parametrize("text", NOT_IDS)
def test_path_of_anything_else_is_never_built(text: str) -> None:
    """A text that is not a session id does not become part of a path: there is no such session."""
    with pytest.raises(UpstreamSessionGone):
        session_path("/sessions", text)
