"""Face API v1.3-preview.1: v1.2 under another path, with abuse monitoring and the address of the phone.

https://github.com/Azure/azure-rest-api-specs, specification/ai/data-plane/Face/preview/v1.3-preview.1

Face keeps a template of the face for up to 48 hours unless abuse monitoring is off:
https://learn.microsoft.com/azure/foundry/responsible-ai/face
"""

from collections.abc import Sequence
from dataclasses import replace

from shared.face import v1_2
from shared.face.answers import identifier
from shared.face.model import SessionResult
from shared.face.results import Part, read, require_session
from shared.http_port import HttpAnswer

# The default of `numberOfClientAttemptsAllowed`, which a create does not set.
_ATTEMPTS_ALLOWED = 1


class _FlaggedSession(Part):
    session_id: str


class _AbuseMonitoring(Part):
    is_abuse_detected: bool | None = None
    other_flagged_sessions: list[_FlaggedSession] | None = None


class _Client(Part):
    ip: str | None = None


class _Attempt(v1_2.Attempt):
    client_information: list[_Client] | None = None
    abuse_monitoring_result: _AbuseMonitoring | None = None


class _Results(v1_2.Results):
    attempts: Sequence[_Attempt] | None = None


class _Session(v1_2.Session):
    results: _Results | None = None


def _read_result(response: HttpAnswer, session_id: str) -> SessionResult:
    """Read the result of a session; raises `UpstreamFailure`. Abuse in any attempt is abuse in the session."""
    session = read(_Session, response)
    require_session(session.session_id, session_id, response)
    attempts = (session.results.attempts if session.results else None) or []
    reports = [attempt.abuse_monitoring_result or _AbuseMonitoring() for attempt in attempts]
    verdicts = [report.is_abuse_detected for report in reports if report.is_abuse_detected is not None]
    flagged = [other.session_id for report in reports for other in report.other_flagged_sessions or ()]
    clients = [client.ip for attempt in attempts for client in attempt.client_information or ()]
    return replace(
        v1_2.result_of(session, response, _ATTEMPTS_ALLOWED),
        abuse_detected=any(verdicts) if verdicts else None,
        flagged_sessions=_identifiers(flagged),
        client_addresses=_identifiers(clients),
    )


def _identifiers(texts: Sequence[str | None]) -> tuple[str, ...]:
    """Each text once, without those that are not safe in logs."""
    return tuple(dict.fromkeys(safe for text in texts if (safe := identifier(text))))


VERSION = replace(v1_2.VERSION, name="v1.3-preview.1", read_result=_read_result)
