import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure
from shared.face.model import Failure, LivenessDecision, SessionStatus
from shared.face.results import Digest, Part, failure, read, status_of, verdict
from tests.support.http import answer_of


class Sample(Part):
    """Some part of some answer."""

    some_count: int
    some_text: str | None = None
    digest: Digest = None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"someCount": 1, "authToken": "secret", "someText": "a"}', (1, "a", None)),
        (b'{"someCount": 1, "someText": null, "digest": null}', (1, None, None)),
        (b'{"someCount": 1, "digest": ""}', (1, None, None)),
        (b'{"someCount": 1, "digest": "1CC98BA8"}', (1, None, "1CC98BA8")),
    ],
)
def test_named_fields_are_read_and_others_are_not(body: bytes, expected: tuple[object, ...]) -> None:
    """A field that is not named leaves no trace; null, and an empty digest, count as absent."""
    assert tuple(read(Sample, answer_of(200, body)).model_dump().values()) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"someCount": "1"}',
        b'{"someCount": 1.0}',
        b'{"someCount": true}',
        b'{"someCount": null}',
        b'{"someText": "a"}',
        b'{"someCount": 1, "someText": 2}',
        *(b'{"someCount": 1, "digest": %b}' % value for value in (b"0", b"false", b"[]", b'"a b"', b'" "')),
        b'{"someCount": 1, "digest": "' + b"a" * 129 + b'"}',
        b'{"someCount": 1, "someCount": 2}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_body_that_is_not_the_contract_is_an_upstream_failure(body: bytes) -> None:
    with pytest.raises(UpstreamFailure, match="not Face's contract"):
        read(Sample, answer_of(200, body))


def test_failure_names_the_place_and_no_value() -> None:
    """What is wrong is named for the log, the value is not: neither in the failure nor in what caused it."""
    with pytest.raises(UpstreamFailure, match="int_type at someCount") as raised:
        read(Sample, answer_of(200, b'{"someCount": "canary-value"}'))
    assert "canary-value" not in repr(raised.value) + repr(raised.value.__cause__)


def test_unknown_status_is_not_final_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert status_of("Something\nnew", {}) is SessionStatus.STARTED
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert json.loads(record.getMessage()) == {"event": "face_status_unknown", "status": "Something new"}


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
def test_failure_is_described_in_safe_words(
    code: str | None, message: str | None, ended_as: str, expected: Failure
) -> None:
    """A code is an identifier, and a message is one bounded line."""
    assert failure(code, message, ended_as) == expected
