"""The Face client: the canonical calls of the port over HTTP, in whichever version of the API."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import httpx

from shared.clock import Sleep
from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face.budget import Lane
from shared.face.calls import Call, CallBudget, Caller
from shared.face.model import (
    AuditEntry,
    AuditPage,
    CreatedSession,
    FaceCredential,
    LivenessMode,
    SessionResult,
    SessionSpec,
)
from shared.face.retries import CREATE_PATIENCE, READ_PATIENCE, Patience
from shared.face.session_ids import NO_SESSION
from shared.face.transport import Transport
from shared.face.versions import ApiVersion, AuditedVersion, load_version
from shared.face.wire import broken


class FaceClient:
    """Azure Face over HTTP; implements `Face`. `random` answers a number from 0 to 1."""

    def __init__(
        self,
        http: httpx.AsyncBaseTransport,
        base_url: str,
        version: ApiVersion,
        credential: FaceCredential,
        budget: CallBudget,
        *,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
        create_patience: Patience = CREATE_PATIENCE,
        read_patience: Patience = READ_PATIENCE,
    ) -> None:
        self._version = version
        self._budget = budget
        self._caller = Caller(Transport(http, base_url), credential, budget, sleep=sleep, random=random)
        self._create_patience = create_patience
        self._read_patience = read_patience

    @property
    def modes(self) -> tuple[LivenessMode, ...]:
        """The operation modes of the API version."""
        return self._version.MODES

    @property
    def can_send_results_to_client(self) -> bool:
        """Whether the API version can hand the decision to the phone itself."""
        return self._version.CAN_SEND_RESULTS_TO_CLIENT

    @property
    def api_version(self) -> str:
        """The version of the Face API that is spoken."""
        return self._version.API_VERSION

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` where a create that came now would find no room; asks nobody."""
        self._budget.require_room()

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Create a session; repeated only where Face certainly made none."""
        request = self._version.create_request(spec)
        call = Call("create", request, request_id, Lane.CREATE, self._create_patience)
        try:
            response = await self._caller.perform(call)
        except UpstreamSessionGone as nonsense:
            raise UpstreamFailure("a create was answered as if it were about a session") from nonsense
        return self._version.read_created(response)

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None
    ) -> SessionResult:
        """Read what is known of a session; raises `UpstreamSessionGone`, also for an id that is no GUID."""
        version = self._version_of(api_version)
        request = version.result_request(session_id)
        call = Call("result", request, request_id, Lane.READ, self._read_patience)
        return version.read_result(await self._caller.perform(call), session_id)

    async def delete(self, session_id: str, request_id: str, *, api_version: str | None = None) -> None:
        """Delete a session and stop its token; one that is gone already is fine."""
        version = self._version_of(api_version)
        try:
            request = version.delete_request(session_id)
            call = Call("delete", request, request_id, Lane.READ, self._read_patience)
            response = await self._caller.perform(call)
        except UpstreamSessionGone:
            return
        if response.status not in (200, 204):
            raise broken(response, f"unexpected status {response.status}")

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Read a session's attempts, or None where the version enters none; raises `UpstreamSessionGone`."""
        version = self._version_of(api_version)
        if not isinstance(version, AuditedVersion):
            return None
        request = version.audit_request(session_id, page)
        call = Call("audit", request, request_id, Lane.READ, self._read_patience)
        return version.read_audit(await self._caller.perform(call), session_id)

    async def check(self, request_id: str) -> None:
        """Make sure that endpoint and credential fit, by asking for a session that cannot exist."""
        with suppress(UpstreamSessionGone):
            await self.result(NO_SESSION, request_id)

    def _version_of(self, api_version: str | None) -> ApiVersion:
        """The version that a session was made with, or the one that is spoken."""
        if not api_version or api_version == self._version.API_VERSION:
            return self._version
        try:
            return load_version(api_version)
        except ValueError as fault:
            # The app was rolled back to a release that does not know it yet.
            raise UpstreamFailure(
                "the session was made with a version of the API that is not spoken here", request_sent=False
            ) from fault
