"""The liveness session as the broker sees it, whichever API version Azure Face has, and the ports to Face."""

from dataclasses import field
from enum import StrEnum
from typing import Final, Protocol

from shared.keys.secret import SecretSource
from shared.values import immutable

NO_SESSION: Final = "00000000-0000-0000-0000-000000000000"
"""An id that no session has."""


class LivenessMode(StrEnum):
    """What the person has to do in the check."""

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


@immutable
class SessionSpec:
    """The options of a new session. `device_id` is None where the client sets it; the lifetime is in seconds."""

    mode: LivenessMode
    device_id: str | None = field(repr=False)
    token_lifetime: int
    send_results_to_client: bool = False


@immutable
class CreatedSession:
    """A session as Face made it; the phone's SDK presents the token to Face."""

    session_id: str
    auth_token: str = field(repr=False)


@immutable
class Failure:
    """Why an attempt ended without a decision that is known."""

    code: str
    message: str


@immutable
class SessionResult:
    """The state of a session at Face.

    `decision`, `digest` and `failure` belong to the attempt with the highest id, and are set only if the status is
    `RESULT_AVAILABLE`. A result has either a decision or a failure. `attempts` counts the attempts.
    `request_id` is Face's own id of the attempt's call, or else of this one.

    `may_retry` is true if the last attempt ended without a decision, and Face allows another one. `decisions` holds
    the id of each attempt and what it decided, the oldest first, without the attempts that decided nothing. A
    decision that this release does not know is in there too, and its attempt may not be made again.

    `abuse_detected` is what Face's abuse monitoring found in any attempt, or None where it says nothing.
    `flagged_sessions` are the other sessions that it names. `client_addresses` are the IP addresses that Face saw.
    """

    status: SessionStatus
    attempts: int = 0
    decision: LivenessDecision | None = None
    digest: str | None = None
    failure: Failure | None = None
    request_id: str | None = None
    may_retry: bool = False
    decisions: tuple[tuple[int, str], ...] = ()
    abuse_detected: bool | None = None
    flagged_sessions: tuple[str, ...] = ()
    client_addresses: tuple[str, ...] = ()


@immutable
class AuditPage:
    """The page of an audit to read: at most `top` entries (1 to 1000) after the one with the id `start`."""

    start: int = 0
    top: int = 1000


@immutable
class AuditEntry:
    """One event of a session: an attempt in Face's audit, or a step in the broker's own record.

    `at` is in unix milliseconds, `latency` in milliseconds. A field is None if it is unknown or unsafe to pass on.
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
    digest_matches: bool | None = None
    decisions: tuple[str, ...] = ()
    abuse_detected: bool | None = None
    flagged_sessions: tuple[str, ...] = ()
    client_addresses: tuple[str, ...] = ()


@immutable
class Reader:
    """Who reads a result: the name of a caller or address, empty for the broker, and whether it was read before.

    Where Face has no room for all, first reads go before those `again`, and no reader gets more than a fair part.
    A read that `follows` another call of the same request does not wait for its turn.
    """

    name: str = ""
    again: bool = False
    follows: bool = False


BY_BROKER: Final = Reader()


class Face(Protocol):
    """The port to Azure Face. Each asynchronous method raises an `UpstreamError` or `KeyUnavailable`.

    The argument `api_version` is the version that created the session; None means the configured one.
    """

    @property
    def modes(self) -> tuple[LivenessMode, ...]:
        """The operation modes of this API version."""

    @property
    def can_send_results_to_client(self) -> bool:
        """Whether this API version can hand the decision to the phone itself."""

    @property
    def api_version(self) -> str:
        """The API version of new sessions."""

    @property
    def rate(self) -> float:
        """The calls a second that this instance may make now."""

    @property
    def throttled_for(self) -> float:
        """The seconds for which Face has had no room for all calls; 0 while it has."""

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` if a create would be refused now for lack of budget; sends and uses nothing."""

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Create a session; never repeated if Face may have made one."""

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None, reader: Reader = BY_BROKER
    ) -> SessionResult:
        """Read the state of a session; raises `UpstreamSessionGone`."""

    async def delete(
        self, session_id: str, request_id: str, *, api_version: str | None = None, follows: bool = False
    ) -> None:
        """Delete a session and stop its token; succeeds if the session is already gone.

        A deletion that `follows` another call of the same request does not wait for its turn.
        """

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Read a session's attempts, oldest first; None if the API version has no audit.

        Raises `UpstreamSessionGone`.
        """

    async def check(self, request_id: str) -> None:
        """Check endpoint and credential by reading a session that cannot exist."""


@immutable
class FaceCredential:
    """The credential of calls to Face: the header field `name` has the secret of `source`, after `prefix`."""

    source: SecretSource
    name: str
    prefix: str = ""
