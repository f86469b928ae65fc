"""Events keep to their published schemas and to CloudEvents, and the schemas refuse what does not."""

import json
import re
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.events.cloud_event import COMPLETED, ERASED, EXPIRED, erased_event, event_id, event_of
from shared.face.model import SessionResult
from shared.sessions.record import SessionRecord
from tests.collect_result.workshop import MASKED, REAL
from tests.shared.events.schemas import TYPES, final_records, new_records, parts_of, schema_of, validator_of

Event = dict[str, Any]

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

each_result = pytest.mark.parametrize("result", [REAL, MASKED, None], ids=["passed", "failed", "expired"])


def event(result: SessionResult | None = REAL) -> Event:
    """An event as a consumer parses it; without a result, of a session that expired."""
    now = 1_800_000_020_000
    record = NEW.expired(now) if result is None else NEW.with_result(result, now).with_digest("A" * 64)
    return dict(json.loads(json.dumps(event_of(record))))


def is_valid(candidate: Event, kind: str | None = None) -> bool:
    """Whether an event keeps to the schema of its type, or of the one that is named."""
    return bool(validator_of(kind or candidate["type"]).is_valid(candidate))


@given(final_records(), st.uuids())
def test_event_of_any_record_keeps_to_its_schema_and_to_cloudevents(
    record: SessionRecord, another: uuid.UUID
) -> None:
    """Attributes are non-empty strings with lower-case names; it fits in 64 KiB; made again it is the same.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
    """
    made = json.loads(json.dumps(event_of(record)))
    [other] = set(TYPES) - {made["type"]}
    later = record.as_published(5_000_000_000_000).as_revoked(5_000_000_000_001).as_deleted_upstream(5)

    validator_of(made["type"]).validate(made)
    assert not is_valid(made, other)
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in made)
    assert all(isinstance(value, str) and value for name, value in made.items() if name != "data")
    assert len(json.dumps(made).encode()) <= 65_536
    assert json.dumps(event_of(later)) == json.dumps(event_of(record))
    assert event_of(replace(record, session_id=str(another)))["id"] != made["id"]


@each_result
def test_time_is_that_of_the_outcome(result: SessionResult | None) -> None:
    """Not that of the token's end, nor of the publication."""
    made = event(result)

    assert made["time"] == made["data"]["completedDateTime"] == "2027-01-15T08:00:20.000Z"
    assert made["data"]["createdDateTime"] == "2027-01-15T08:00:00.000Z"


def test_ids_never_change() -> None:
    """Consumers have these ids stored: a session's event keeps its id over all releases."""
    assert event_id(NEW.session_id, COMPLETED) == "4b1f7000-89b8-55d3-93c9-a1df55c9eca6"
    assert event_id(NEW.session_id, EXPIRED) == "549a38c1-c78a-56ce-9cf6-6021e0b1ccea"
    assert event_id(NEW.session_id, ERASED) == "405da915-e343-57dc-b85a-f06f729e086e"


@pytest.mark.parametrize("kind", [*TYPES, ERASED])
def test_schema_is_valid_and_describes_every_field(kind: str) -> None:
    """A `format`, which validators may skip, has a pattern beside it."""
    schema = schema_of(kind)
    properties = schema["properties"] | schema["$defs"]["data"]["properties"]
    formatted = [part for part in parts_of(schema) if isinstance(part.get("format"), str)]

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    undescribed = {name for name, part in properties.items() if "description" not in part}
    assert undescribed == {"datacontenttype", "data"}
    assert {part["format"] for part in formatted} >= {"uuid", "date-time", "uri-reference"}
    assert all("pattern" in part for part in formatted)


@each_result
def test_schema_lists_exactly_the_fields_of_an_event(result: SessionResult | None) -> None:
    """All but the trace are required. A later release may add attributes and fields: they are accepted."""
    made = event(result)
    schema = schema_of(made["type"])
    data = schema["$defs"]["data"]

    assert schema["$id"] == made["dataschema"]
    assert set(schema["properties"]) == set(made)
    assert set(schema["required"]) == set(made) - {"traceparent"}
    assert set(data["properties"]) == set(data["required"]) == set(made["data"])
    made |= {"futureattribute": "x", "data": {**made["data"], "futureField": {"a": [1]}}}
    assert is_valid(made)


WRONG = [
    *((name, 4711.5) for name in sorted(event().keys() - {"traceparent"})),
    *((f"data.{name}", []) for name in sorted(event()["data"])),
    ("specversion", "0.3"),
    ("type", "liveness.session.started"),
    ("datacontenttype", "text/plain"),
    ("dataschema", "https://face-liveness-broker.example/events/x"),
    ("id", ""),
    ("id", "B12E033E-BDA7-4B83-A211-E721C661F30E"),
    ("source", ""),
    ("source", "https://elsewhere.example/"),
    ("time", "2027-01-15 08:00:20"),
    ("time", "2027-13-15T08:00:20.000Z"),
    ("traceparent", "00-zz-zz-00"),
    ("data", None),
    ("data.sessionId", "../x"),
    ("data.clientReference", "a b"),
    ("data.clientReferenceFrom", "body"),
    ("data.principal", ""),
    ("data.attempts", -1),
    ("data.createdDateTime", "today"),
    ("data.livenessDecision", "deepfake"),
    ("data.region", "West Europe"),
    ("data.failure", {}),
    ("data.failure", {"code": "X"}),
    ("data.failure", {"message": "X"}),
    ("data.failure", {"code": "", "message": "X"}),
    ("data.failure", {"code": 1, "message": "X"}),
]


@each_result
@pytest.mark.parametrize(("path", "value"), WRONG)
def test_wrong_value_is_refused(path: str, value: object, result: SessionResult | None) -> None:
    made = event(result)
    kind, name = made["type"], path.removeprefix("data.")
    (made["data"] if path != name else made)[name] = value

    assert not is_valid(made, kind)


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("decision", ["realface", "spoofface", "uncertain", None])
@pytest.mark.parametrize("failure", [{"code": "NoDecision", "message": "None."}, None])
@pytest.mark.parametrize("matches", [True, False, None])
def test_contradiction_is_refused(
    passed: bool, decision: str | None, failure: Event | None, matches: bool | None
) -> None:
    """Only a real face of the same digest passes, and there is a decision or a failure, never both or neither."""
    made = event()
    made["data"] |= {"passed": passed, "livenessDecision": decision, "failure": failure}
    made["data"]["digestMatches"] = matches

    may_pass = decision == "realface" and matches is not False
    consistent = (may_pass or not passed) and (decision is None) is (failure is not None)

    assert is_valid(made) is consistent


@pytest.mark.parametrize(
    "field", ["passed", "livenessDecision", "failure", "digest", "digestMatches", "upstreamRequestId"]
)
def test_expired_event_with_a_result_is_refused(field: str) -> None:
    made = event(None)
    made["data"][field] = event(MASKED if field == "failure" else REAL)["data"][field]

    assert not is_valid(made, EXPIRED)


@given(final_records() | new_records(), st.integers(1_500_000_000_000, 4_000_000_000_000))
def test_event_of_an_erased_session_names_it_and_no_outcome(record: SessionRecord, now: int) -> None:
    """Whatever state it was in. It has an id of its own, always the same, and all that its schema says."""
    made = json.loads(json.dumps(erased_event(record, now)))
    schema = schema_of(ERASED)

    validator_of(ERASED).validate(made)
    assert set(schema["required"]) == set(schema["properties"]) == set(made)
    assert set(schema["$defs"]["data"]["required"]) == set(made["data"])
    assert set(made["data"]) == {"sessionId", "region", "clientReference", "erasedDateTime"}
    assert made["id"] == event_id(record.session_id, ERASED) != event_of(record)["id"]
    assert schema["$id"] == made["dataschema"]
