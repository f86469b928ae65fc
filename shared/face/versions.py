"""The versions of the Face API that the broker speaks, by the name that the setting has."""

from typing import Protocol, runtime_checkable

from shared.face.endpoint import API_VERSIONS as API_VERSIONS
from shared.face.model import AuditEntry, AuditPage, CreatedSession, LivenessMode, SessionResult, SessionSpec
from shared.face.wire import UpstreamRequest, UpstreamResponse


class ApiVersion(Protocol):
    """One version: pure functions that build requests, and read answers or raise `UpstreamFailure`."""

    API_VERSION: str
    MODES: tuple[LivenessMode, ...]
    CAN_SEND_RESULTS_TO_CLIENT: bool

    def create_request(self, spec: SessionSpec) -> UpstreamRequest:
        """Build the request for a new session."""
        ...

    def read_created(self, response: UpstreamResponse) -> CreatedSession:
        """Read the new session."""
        ...

    def result_request(self, session_id: str) -> UpstreamRequest:
        """Build the request for a result; raises `UpstreamSessionGone` for an id that no session can have."""
        ...

    def read_result(self, response: UpstreamResponse, session_id: str) -> SessionResult:
        """Read the result of the session that was asked for."""
        ...

    def delete_request(self, session_id: str) -> UpstreamRequest:
        """Build the request to delete; raises `UpstreamSessionGone` for an id that no session can have."""
        ...


@runtime_checkable
class AuditedVersion(Protocol):
    """What a version that enters attempts in an audit has besides `ApiVersion`."""

    def audit_request(self, session_id: str, page: AuditPage) -> UpstreamRequest:
        """Build the request for entries; raises `UpstreamSessionGone` for an id that no session can have."""
        ...

    def read_audit(self, response: UpstreamResponse, session_id: str) -> tuple[AuditEntry, ...]:
        """Read the entries of the session that was asked for."""
        ...


def load_version(name: str) -> ApiVersion:
    """Import the version that is asked for: an app speaks one, and its start does not wait for the others."""
    match name:
        case "v1.1-preview.1":
            from shared.face import v1_1_preview_1

            return v1_1_preview_1
        case "v1.2":
            from shared.face import v1_2

            return v1_2
        case "v1.3-preview.1":
            from shared.face import v1_3_preview_1

            return v1_3_preview_1
    raise ValueError("no such version of the Face API")
