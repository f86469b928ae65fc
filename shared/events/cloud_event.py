"""The terminal event of a session, as a CloudEvent: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md.

An outcome's event is made from the record alone, so that it is the same, byte for byte, when it is published again.
"""

import uuid
from typing import Any

from shared.face.model import SessionStatus
from shared.sessions.record import SessionRecord
from shared.text import rfc3339

COMPLETED = "liveness.session.completed"
EXPIRED = "liveness.session.expired"
ERASED = "liveness.session.erased"

_SCHEMAS = "https://face-liveness-broker.example/events"
# A UUID made once for this project. It never changes: the id of an event stays the same.
_NAMESPACE = "5b6d6c5e-7a0d-5f0e-9d0a-2f6f0c1b7e44"


def event_of(record: SessionRecord) -> dict[str, Any]:
    """The event of a session whose status is final, in the JSON format of CloudEvents 1.0."""
    kind = COMPLETED if record.status is SessionStatus.RESULT_AVAILABLE else EXPIRED
    failure = record.failure
    completed_at = rfc3339(record.completed_at or record.token_expires_at)
    event = {
        **_attributes(record, kind, completed_at),
        "data": {
            "sessionId": record.session_id,
            "region": record.region,
            "clientReference": record.client_reference,
            "clientReferenceFrom": record.client_reference_from,
            "principal": record.principal,
            "passed": record.passed,
            "livenessDecision": record.decision,
            "attempts": record.attempts,
            "failure": {"code": failure.code, "message": failure.message} if failure else None,
            "digest": record.digest,
            "digestMatches": record.digest_matches,
            "abuseDetected": record.abuse_detected,
            "createdDateTime": rfc3339(record.created_at),
            "completedDateTime": completed_at,
            "faceApiVersion": record.face_api_version,
            "upstreamRequestId": record.upstream_request_id,
        },
    }
    return event if record.traceparent is None else {**event, "traceparent": record.traceparent}


def erased_event(record: SessionRecord, now: int) -> dict[str, Any]:
    """The event of a session that is erased `now`: subscribers have to delete what they keep of it.

    It names the session and its transaction, and nothing that was found out about the person.
    """
    return {
        **_attributes(record, ERASED, rfc3339(now)),
        "data": {
            "sessionId": record.session_id,
            "region": record.region,
            "clientReference": record.client_reference,
            "erasedDateTime": rfc3339(now),
        },
    }


def _attributes(record: SessionRecord, kind: str, time: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": kind,
        "source": f"/face-liveness-broker/{record.region}",
        "id": event_id(record.session_id, kind),
        "subject": record.session_id,
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": f"{_SCHEMAS}/{kind}.v1.schema.json",
    }


def event_id(session_id: str, kind: str) -> str:
    """The id of a session's event of one type, always the same: consumers detect duplicates by it."""
    return str(uuid.uuid5(uuid.UUID(_NAMESPACE), f"{session_id} {kind}"))
