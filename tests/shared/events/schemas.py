"""The published schemas of the events, and records of all kinds to make events of."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from shared.events.cloud_event import COMPLETED, EXPIRED
from shared.face.endpoint import API_VERSIONS, REGION_NAMES
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.sessions.record import SessionRecord
from shared.text import continued

DIRECTORY = Path(__file__).parents[3] / "docs" / "events"

TYPES = (COMPLETED, EXPIRED)


@cache
def schema_of(event_type: str) -> dict[str, Any]:
    content = (DIRECTORY / f"{event_type}.v1.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(content))


@cache
def validator_of(event_type: str) -> Draft202012Validator:
    """What validates a type of event, its formats included."""
    return Draft202012Validator(schema_of(event_type), format_checker=Draft202012Validator.FORMAT_CHECKER)


def parts_of(schema: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for child in children:
        yield from parts_of(child)


_IDENTIFIERS = st.from_regex(r"[0-9A-Za-z._:-]{1,128}", fullmatch=True)
_TIMES = st.integers(1_500_000_000_000, 4_000_000_000_000)
_DIGESTS = st.from_regex(r"[0-9A-Fa-f]{64}", fullmatch=True)

_DONE = st.just(SessionStatus.RESULT_AVAILABLE)
_FAILURES = st.builds(
    Failure, _IDENTIFIERS, st.text(st.characters(exclude_categories=["C", "Z"]), max_size=256)
)
_ABUSE = st.none() | st.booleans()
_OUTCOME = {
    "status": _DONE,
    "digest": st.none() | _DIGESTS,
    "request_id": st.none() | _IDENTIFIERS,
    "abuse_detected": _ABUSE,
}

decisions = st.builds(
    SessionResult, attempts=st.integers(1, 3), decision=st.sampled_from(LivenessDecision), **_OUTCOME
)
failures = st.builds(
    SessionResult, attempts=st.integers(0, 3), failure=_FAILURES, may_retry=st.booleans(), **_OUTCOME
)
started = st.builds(SessionResult, status=st.just(SessionStatus.STARTED), abuse_detected=_ABUSE) | failures


@st.composite
def new_records(draw: st.DrawFn) -> SessionRecord:
    created_at = draw(_TIMES)
    return SessionRecord(
        session_id=str(draw(st.uuids())),
        token_hash="0" * 64,
        device="1" * 64,
        created_at=created_at,
        token_expires_at=created_at + 1000 * draw(st.integers(60, 86_400)),
        principal=draw(
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
        ),
        client_reference=draw(st.none() | st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True)),
        client_reference_from=draw(st.sampled_from(["token", "caller", None])),
        face_api_version=draw(st.sampled_from(API_VERSIONS)),
        region=draw(st.sampled_from([*REGION_NAMES, "our-own-name"])),
        traceparent=draw(st.none() | st.builds(continued, st.none())),
    )


@st.composite
def final_records(draw: st.DrawFn) -> SessionRecord:
    """Records of sessions that have ended, in every way that the record's own rules allow."""
    record = draw(new_records())
    if earlier := draw(st.none() | started):
        record = record.with_result(earlier, record.created_at + 1)
    # A failed attempt stays open while another is allowed. The end of the session makes it final.
    ended_at = record.created_at + draw(st.integers(2, 48 * 3_600_000))
    result = draw(st.none() | decisions | failures)
    record = record.expired(ended_at) if result is None else record.with_result(result, ended_at)
    record = (
        record.expired(ended_at)
        .with_digest(draw(st.sampled_from([None, record.digest, "another"])))
        .as_settled()
    )
    return record.as_revoked(ended_at + 1) if draw(st.booleans()) else record
