"""The versions of the Face API that the broker speaks, by the name that the setting has."""

from collections.abc import Mapping
from typing import Protocol

from shared.face import v1_1_preview_1, v1_2, v1_3_preview_1
from shared.face.model import CreatedSession, LivenessMode, SessionResult, SessionSpec
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


API_VERSIONS: Mapping[str, ApiVersion] = {
    v1_1_preview_1.API_VERSION: v1_1_preview_1,
    v1_2.API_VERSION: v1_2,
    v1_3_preview_1.API_VERSION: v1_3_preview_1,
}
