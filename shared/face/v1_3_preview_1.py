"""Face API v1.3-preview.1: v1.2 under another path, in what the broker uses.

It also has more (attempts per session, user ids, abuse monitoring). Face keeps a template of the face for up
to 48 hours unless abuse monitoring is off: https://learn.microsoft.com/azure/foundry/responsible-ai/face
"""

from shared.face import v1_2
from shared.face.answers import UpstreamRequest, session_path
from shared.face.model import SessionSpec
from shared.face.v1_2 import AUDIT, CAN_SEND_RESULTS_TO_CLIENT, MODES, read_created, read_result

__all__ = [
    "API_VERSION",
    "AUDIT",
    "CAN_SEND_RESULTS_TO_CLIENT",
    "MODES",
    "create_request",
    "delete_request",
    "read_created",
    "read_result",
    "result_request",
]

API_VERSION = "v1.3-preview.1"

_SESSIONS = f"/face/{API_VERSION}/detectLiveness-sessions"


def create_request(spec: SessionSpec) -> UpstreamRequest:
    """Build the request for a new session, as v1.2 does."""
    return UpstreamRequest("POST", _SESSIONS, v1_2.create_request(spec).json)


def result_request(session_id: str) -> UpstreamRequest:
    """Build the request for a result; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("GET", session_path(_SESSIONS, session_id))


def delete_request(session_id: str) -> UpstreamRequest:
    """Build the request to delete a session; raises `UpstreamSessionGone` for an id that no session can have."""
    return UpstreamRequest("DELETE", session_path(_SESSIONS, session_id))
