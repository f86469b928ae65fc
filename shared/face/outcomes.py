"""What the API versions share in reading a session: which it is, where it stands, how an attempt ended."""

import logging
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from shared.face import session_ids
from shared.face.model import CreatedSession, Failure, LivenessDecision, SessionResult, SessionStatus
from shared.face.reading import Part, read
from shared.face.wire import UpstreamResponse, broken, identifier, printable
from shared.telemetry import log_event

_logger = logging.getLogger(__name__)

Digest = Annotated[str, Field(pattern="^[!-~]{1,128}$")]
"""What the phone's SDK and Face both compute of an attempt: 64 hexadecimal digits, as far as is published."""


class _Created(Part):
    session_id: str
    auth_token: Annotated[str, Field(pattern="^[!-~]{1,4096}$", repr=False)]


def read_created(response: UpstreamResponse) -> CreatedSession:
    """Read the answer to a create; raises `UpstreamFailure`."""
    created = read(_Created, response)
    if session_ids.parse(created.session_id) is None:
        raise broken(response, "the session id is not a GUID")
    return CreatedSession(created.session_id, created.auth_token)


def require_session(found: str, asked_for: str, response: UpstreamResponse) -> None:
    """Make sure that the answer is about the session that was asked for; raises `UpstreamFailure`."""
    if found != asked_for:
        raise broken(response, "the answer is about another session")


def status_of(text: str, known: Mapping[str, SessionStatus]) -> SessionStatus:
    """Answer what a status means; one that is not known is not final."""
    if text not in known:
        log_event(_logger, logging.WARNING, "face_status_unknown", status=printable(text, 64))
    return known.get(text, SessionStatus.STARTED)


def verdict(decision: str | None) -> LivenessDecision | Failure:
    """Read the decision of an attempt that succeeded; a value that is not known is a failure, never a pass.

    The case does not count: published examples have both `realface` and `realFace`.
    """
    if decision is None:
        return Failure("NoDecision", "The attempt ended without a decision.")
    try:
        return LivenessDecision(decision.lower())
    except ValueError:
        log_event(_logger, logging.WARNING, "face_decision_unknown", decision=printable(decision, 64))
        return Failure("UnknownDecision", "The attempt ended with a decision that is not known.")


def failure(code: str | None, message: str | None, ended_as: str) -> Failure:
    """Say why an attempt failed: in Face's words, as far as they can be passed on, else as how it ended."""
    plain = printable(ended_as, 64)
    return Failure(
        identifier(code) or identifier(plain) or "Unspecified",
        printable(message or "") or f"The attempt ended with {plain}.",
    )


def ended(
    outcome: LivenessDecision | Failure, *, attempts: int, digest: str | None, request_id: str | None
) -> SessionResult:
    """Answer the result of a session whose last attempt ended in `outcome`."""
    return SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        attempts=attempts,
        decision=outcome if isinstance(outcome, LivenessDecision) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        digest=digest,
        request_id=request_id,
    )
