"""Events keep to their published schemas and to CloudEvents, and the schemas refuse what does not."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.events.cloud_event import COMPLETED, EXPIRED, event_id, event_of
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.sessions.record import SessionRecord
from tests.shared.events.schemas import TYPES, final_records, parts_of, schema_of, validator_of

Event = dict[str, Any]

PASSED = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest="A" * 64, request_id="a-request"
)
FAILED = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("FaceWithMaskDetected", "A mask."))
NEW = SessionRecord(
    "b12e033e-bda7-4b83-a211-e721c661f30e",
    "0" * 64,
    "1" * 64,
    created_at=1_800_000_000_000,
    token_expires_at=1_800_000_600_000,
    face_api_version="v1.2",
    region="westeurope",
    traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00",
)


def event(result: SessionResult | None = PASSED) -> Event:
    """An event as a consumer parses it; without a result, of a session that expired."""
    now = 1_800_000_020_000
    record = NEW.expired(now) if result is None else NEW.with_result(result, now)
    return dict(json.loads(json.dumps(event_of(record))))


def is_valid(candidate: Event, kind: str | None = None) -> bool:
    """Whether an event keeps to the schema of its type, or of the one that is named."""
    return bool(validator_of(kind or candidate["type"]).is_valid(candidate))


@given(final_records())
def test_event_of_any_record_keeps_to_the_schema_of_its_type(record: SessionRecord) -> None:
    """And not to the schema of the other type."""
    made = json.loads(json.dumps(event_of(record)))
    [other] = set(TYPES) - {made["type"]}

    validator_of(made["type"]).validate(made)
    assert not is_valid(made, other)


@given(final_records())
def test_event_keeps_to_cloudevents(record: SessionRecord) -> None:
    """The required attributes are non-empty strings, names are lower-case letters and digits, it fits in 64 KiB.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
    """
    made = event_of(record)

    assert made["specversion"] == "1.0"
    assert all(isinstance(made[name], str) and made[name] for name in ("id", "source", "specversion", "type"))
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in made)
    assert all(isinstance(value, str) and value for name, value in made.items() if name != "data")
    assert re.fullmatch(r"[0-9-]{10}T[0-9:.]{12}Z", made["time"])
    assert re.fullmatch(r"https://[a-z0-9./-]+", made["dataschema"])
    assert len(json.dumps(made).encode()) <= 65_536


@given(final_records(), st.uuids())
def test_event_made_again_is_the_same(record: SessionRecord, another: uuid.UUID) -> None:
    """Later steps leave the event as it was, byte for byte, and another session has another id."""
    later = record.as_published(5_000_000_000_000).as_revoked(5_000_000_000_001).as_deleted_upstream(5)
    other = replace(record, session_id=str(another))

    assert json.dumps(event_of(later)) == json.dumps(event_of(record))
    assert (event_of(other)["id"] == event_of(record)["id"]) is (other == record)


@pytest.mark.parametrize("result", [PASSED, FAILED, None])
def test_time_is_that_of_the_outcome(result: SessionResult | None) -> None:
    """Not that of the token's end, nor of the publication."""
    made = event(result)

    assert made["time"] == made["data"]["completedDateTime"] == "2027-01-15T08:00:20.000Z"
    assert made["data"]["createdDateTime"] == "2027-01-15T08:00:00.000Z"


def test_ids_never_change() -> None:
    """Consumers have these ids stored: a session's event keeps its id over all releases."""
    assert event_id(NEW.session_id, COMPLETED) == "4b1f7000-89b8-55d3-93c9-a1df55c9eca6"
    assert event_id(NEW.session_id, EXPIRED) == "549a38c1-c78a-56ce-9cf6-6021e0b1ccea"


@pytest.mark.parametrize("kind", TYPES)
def test_schema_is_one_and_is_named_as_events_name_it(kind: str) -> None:
    """Each schema is valid JSON Schema, and its id is what an event's `dataschema` says."""
    schema = schema_of(kind)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert schema["$id"] == event(PASSED if kind == COMPLETED else None)["dataschema"]


@pytest.mark.parametrize("result", [PASSED, FAILED, None], ids=["passed", "failed", "expired"])
def test_schema_lists_exactly_the_fields_of_an_event(result: SessionResult | None) -> None:
    """No field is missing in the schema, none is listed that no event has, and all but the trace are required."""
    made = event(result)
    schema = schema_of(made["type"])
    data = schema["$defs"]["data"]

    assert set(schema["properties"]) == set(made)
    assert set(schema["required"]) == set(made) - {"traceparent"}
    assert set(data["properties"]) == set(data["required"]) == set(made["data"])


@pytest.mark.parametrize("kind", TYPES)
def test_schema_describes_every_field(kind: str) -> None:
    """A consumer need not guess: only the content type says nothing more than its name."""
    schema = schema_of(kind)
    properties = schema["properties"] | schema["$defs"]["data"]["properties"]

    undescribed = {name for name, part in properties.items() if "description" not in part}

    assert undescribed == {"datacontenttype", "data"}
    assert schema["$defs"]["data"]["description"]


@pytest.mark.parametrize("kind", TYPES)
def test_format_that_validators_may_skip_has_a_pattern(kind: str) -> None:
    """`format` is only a remark for many validators, so that each one has a pattern beside it that is not."""
    formatted = [part for part in parts_of(schema_of(kind)) if isinstance(part.get("format"), str)]

    assert {part["format"] for part in formatted} >= {"uuid", "date-time", "uri-reference"}
    assert all("pattern" in part for part in formatted)


@pytest.mark.parametrize("result", [PASSED, FAILED, None], ids=["passed", "failed", "expired"])
def test_event_of_a_later_version_of_the_broker_is_accepted(result: SessionResult | None) -> None:
    """Attributes and fields may be added within a version: who validates with the schema of today takes them."""
    made = event(result)
    made["futureattribute"] = "x"
    made["data"]["futureField"] = {"a": [1]}
    if made["data"]["failure"]:
        made["data"]["failure"]["target"] = "image"

    assert is_valid(made)


def _without(*path: str) -> Callable[[Event], None]:
    def damage(made: Event) -> None:
        del (made["data"] if len(path) == 2 else made)[path[-1]]

    return damage


def _with(value: object, *path: str) -> Callable[[Event], None]:
    def damage(made: Event) -> None:
        (made["data"] if len(path) == 2 else made)[path[-1]] = value

    return damage


ATTRIBUTES = [
    "specversion",
    "type",
    "source",
    "id",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
]
FIELDS = sorted(event()["data"])
DAMAGES = [
    *(pytest.param(_without(name), id=f"no {name}") for name in ATTRIBUTES),
    *(pytest.param(_without("data", name), id=f"no data.{name}") for name in FIELDS),
    *(pytest.param(_with(4711.5, name), id=f"{name} of another type") for name in ATTRIBUTES),
    *(pytest.param(_with([], "data", name), id=f"data.{name} of another type") for name in FIELDS),
    pytest.param(_with("0.3", "specversion"), id="another specversion"),
    pytest.param(_with("liveness.session.started", "type"), id="another type"),
    pytest.param(_with("text/plain", "datacontenttype"), id="another content type"),
    pytest.param(_with("https://face-liveness-broker.example/events/x", "dataschema"), id="another schema"),
    pytest.param(_with("", "id"), id="empty id"),
    pytest.param(_with("B12E033E-BDA7-4B83-A211-E721C661F30E", "id"), id="id in capitals"),
    pytest.param(_with("", "source"), id="empty source"),
    pytest.param(_with("https://elsewhere.example/", "source"), id="source of somebody else"),
    pytest.param(_with("2027-01-15 08:00:20", "time"), id="time without zone"),
    pytest.param(_with("2027-13-15T08:00:20.000Z", "time"), id="time that is none"),
    pytest.param(_with("00-zz-zz-00", "traceparent"), id="traceparent that is none"),
    pytest.param(_with(None, "data"), id="no content"),
    pytest.param(_with("../x", "data", "sessionId"), id="session id that is none"),
    pytest.param(_with("a b", "data", "clientReference"), id="client reference with a blank"),
    pytest.param(_with("", "data", "principal"), id="empty principal"),
    pytest.param(_with(-1, "data", "attempts"), id="negative attempts"),
    pytest.param(_with("today", "data", "createdDateTime"), id="creation at no time"),
    pytest.param(_with("deepfake", "data", "livenessDecision"), id="unknown decision"),
    pytest.param(_with("West Europe", "data", "region"), id="region that is none"),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("result", [PASSED, None], ids=["completed", "expired"])
def test_damaged_event_is_refused(damage: Callable[[Event], None], result: SessionResult | None) -> None:
    """Nothing that a consumer relies on may be missing or be of another kind."""
    made = event(result)
    kind = made["type"]
    assert is_valid(made, kind)

    damage(made)

    assert not is_valid(made, kind)


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("decision", ["realface", "spoofface", "uncertain", None])
@pytest.mark.parametrize(
    "failure", [{"code": "NoDecision", "message": "None."}, None], ids=["failure", "none"]
)
def test_contradiction_is_refused(passed: bool, decision: str | None, failure: Event | None) -> None:
    """Only a real face passes, and there is a decision or a failure, never both or neither."""
    made = event()
    made["data"] |= {"passed": passed, "livenessDecision": decision, "failure": failure}

    consistent = passed is (decision == "realface") and (decision is None) is (failure is not None)

    assert is_valid(made) is consistent


@pytest.mark.parametrize(
    "failure",
    [{}, {"code": "X"}, {"message": "X"}, {"code": "", "message": "X"}, {"code": 1, "message": "X"}],
)
def test_failure_without_code_and_message_is_refused(failure: Event) -> None:
    """A failure is told with both."""
    made = event(FAILED)
    made["data"]["failure"] = failure

    assert not is_valid(made)


@pytest.mark.parametrize("field", ["passed", "livenessDecision", "failure", "digest", "upstreamRequestId"])
def test_expired_event_with_a_result_is_refused(field: str) -> None:
    """A session that expired has no result, nor part of one."""
    made = event(None)
    made["data"][field] = event(FAILED if field == "failure" else PASSED)["data"][field]

    assert not is_valid(made, EXPIRED)
