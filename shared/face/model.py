"""What the broker means by a liveness session, whatever version of Azure Face stands behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class LivenessMode(StrEnum):
    """What the person is asked to do."""

    PASSIVE = "Passive"
    PASSIVE_ACTIVE = "PassiveActive"


class SessionStatus(StrEnum):
    """Where a session stands; `ResultAvailable` and `Expired` are final."""

    NOT_STARTED = "NotStarted"
    STARTED = "Started"
    RESULT_AVAILABLE = "ResultAvailable"
    EXPIRED = "Expired"


class LivenessDecision(StrEnum):
    """Face's verdict; only `realface` can be a pass."""

    REALFACE = "realface"
    SPOOFFACE = "spoofface"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What a session is created with: no `device_id` where the client sets it; the lifetime is in seconds."""

    mode: LivenessMode
    device_id: str | None = field(repr=False)
    token_lifetime: int
    send_results_to_client: bool = False


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """A session as Face made it; the token is what the phone's SDK talks to Face with."""

    session_id: str
    auth_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt ended without a decision."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What Face says of a session now.

    `decision`, `digest` and `failure` are those of the attempt with the highest id, and are set only where
    the status is `RESULT_AVAILABLE`; a result has either a decision or a failure. `attempts` is how many
    attempts the answer shows. `request_id` is Face's own id of the attempt's call, or of this one.
    """

    status: SessionStatus
    attempts: int = 0
    decision: LivenessDecision | None = None
    digest: str | None = None
    failure: Failure | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Which entries of an audit are asked for: at most `top` (1 to 1000), after the one whose id is `start`."""

    start: int = 0
    top: int = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event of a session: an attempt as Face entered it, or a step of the broker's own record.

    `at` is in unix milliseconds, `latency` in milliseconds; None is what is not known, or cannot be passed on.
    """

    id: int
    at: int
    event: str = "attempt"
    request_id: str | None = None
    client_request_id: str | None = None
    method: str | None = None
    path: str | None = None
    status_code: int | None = None
    latency: int | None = None
    decision: LivenessDecision | None = None
    failure: Failure | None = None
    digest: str | None = None


class Face(Protocol):
    """The upstream, as the use-cases see it; each method raises an `UpstreamError` or `KeyUnavailable`.

    `api_version` is that of the API that a session was made with, where it may be another one than is spoken now.
    """

    @property
    def modes(self) -> tuple[LivenessMode, ...]:
        """The operation modes of this API version."""
        ...

    @property
    def can_send_results_to_client(self) -> bool:
        """Whether this API version can hand the decision to the phone itself."""
        ...

    @property
    def api_version(self) -> str:
        """The version of the Face API that is spoken."""
        ...

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` where a create that came now would find no room; asks nobody, uses nothing up."""
        ...

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Create a session; never repeated where it is unclear whether Face made one."""
        ...

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None
    ) -> SessionResult:
        """Read what is known of a session; raises `UpstreamSessionGone`."""
        ...

    async def delete(self, session_id: str, request_id: str, *, api_version: str | None = None) -> None:
        """Delete a session and stop its token; one that is gone already is fine."""
        ...

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Read a session's attempts, oldest first, or None if the API version has no audit.

        Raises `UpstreamSessionGone`.
        """
        ...

    async def check(self, request_id: str) -> None:
        """Make sure that endpoint and credential fit, by asking for a session that cannot exist."""
        ...


class FaceCredential(Protocol):
    """What proves to Face that the call is ours."""

    async def headers(self) -> Mapping[str, str]:
        """Answer the header fields to send; raises `KeyUnavailable`."""
        ...

    async def renew(self, refused: Mapping[str, str]) -> bool:
        """After Face refused these header fields (401): get newer ones; True where a replay is worth it."""
        ...
