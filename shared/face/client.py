"""The client of Azure Face: implements the port over HTTP, in each version of the API."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face.answers import ApiVersion, read_created
from shared.face.budget import Budget, Lane
from shared.face.calls import FaceCalls, Operation
from shared.face.endpoint import API_VERSIONS
from shared.face.model import (
    BY_BROKER,
    NO_SESSION,
    AuditEntry,
    AuditPage,
    CreatedSession,
    FaceCredential,
    Reader,
    SessionResult,
    SessionSpec,
    SessionStatus,
)
from shared.http_port import Http
from shared.text import Sleep

_ALL_ATTEMPTS = AuditPage(top=20)
"""More than a session can have."""


def load_version(name: str) -> ApiVersion:
    """Import one of `API_VERSIONS`, so that the start of an app does not wait for the others."""
    if name not in API_VERSIONS:
        raise ValueError("no such version of the Face API")
    module = import_module("shared.face." + name.replace(".", "_").replace("-", "_"))
    version: ApiVersion = module.VERSION
    return version


class FaceClient:
    """Azure Face over HTTP; implements `Face`. `random` returns a number from 0 to 1."""

    def __init__(
        self,
        http: Http,
        base_url: str,
        version: ApiVersion,
        credential: FaceCredential,
        budget: Budget,
        *,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._version = version
        self.modes = version.modes
        self.can_send_results_to_client = version.can_send_results_to_client
        self.api_version = version.name
        self._budget = budget
        self._calls = FaceCalls(http, base_url, credential, budget, sleep=sleep, random=random)

    @property
    def rate(self) -> float:
        """The calls a second that this instance may make now."""
        return self._budget.rate

    @property
    def throttled_for(self) -> float:
        """The seconds for which Face has had no room for all calls; 0 while it has."""
        return self._budget.throttled_for

    def require_room(self) -> None:
        """Raise `UpstreamThrottled` if a create would be refused now for lack of budget; sends nothing."""
        self._budget.require_room()

    async def create(self, spec: SessionSpec, request_id: str) -> CreatedSession:
        """Create a session; repeated only if Face certainly made none."""
        request = self._version.create_request(spec)
        try:
            response = await self._calls.perform(Operation("create", request, request_id, Lane.CREATE))
        except UpstreamSessionGone as error:
            raise UpstreamFailure("a create was answered as if it were about a session") from error
        return read_created(response)

    async def result(
        self, session_id: str, request_id: str, *, api_version: str | None = None, reader: Reader = BY_BROKER
    ) -> SessionResult:
        """Read the state of a session; raises `UpstreamSessionGone`, also for an id that is not a GUID.

        Where a result does not show all attempts, their audit is read too: a second call.
        """
        version = self._version_of(api_version)
        request = version.request("GET", session_id)
        lane = Lane.FOLLOW_UP if reader.follows else Lane.REPEATED_READ if reader.again else Lane.READ
        response = await self._calls.perform(Operation("result", request, request_id, lane, reader.name))
        result = version.read_result(response, session_id)
        # A started check may follow an attempt that decided.
        if version.with_audit is None or result.status is SessionStatus.NOT_STARTED:
            return result
        entries = await self._audit(version, session_id, _ALL_ATTEMPTS, request_id, Lane.FOLLOW_UP)
        return version.with_audit(result, entries or ())

    async def delete(
        self, session_id: str, request_id: str, *, api_version: str | None = None, follows: bool = False
    ) -> None:
        """Delete a session and stop its token; succeeds if it is gone already, and only on an answer of Face's own."""
        version = self._version_of(api_version)
        try:
            request = version.request("DELETE", session_id)
            lane = Lane.FOLLOW_UP if follows else Lane.READ
            response = await self._calls.perform(Operation("delete", request, request_id, lane))
        except UpstreamSessionGone:
            return
        version.require_deleted(response)

    async def audit(
        self, session_id: str, page: AuditPage, request_id: str, *, api_version: str | None = None
    ) -> tuple[AuditEntry, ...] | None:
        """Read a session's attempts; None if the version has no audit. Raises `UpstreamSessionGone`."""
        return await self._audit(self._version_of(api_version), session_id, page, request_id, Lane.READ)

    async def check(self, request_id: str) -> None:
        """Check endpoint and credential by reading a session that cannot exist."""
        with suppress(UpstreamSessionGone):
            await self.result(NO_SESSION, request_id)

    async def _audit(
        self, version: ApiVersion, session_id: str, page: AuditPage, request_id: str, lane: Lane
    ) -> tuple[AuditEntry, ...] | None:
        if version.read_audit is None:
            return None
        request = version.request("GET", session_id, f"/audit?start={page.start}&top={page.top}")
        response = await self._calls.perform(Operation("audit", request, request_id, lane))
        return version.read_audit(response, session_id)

    def _version_of(self, api_version: str | None) -> ApiVersion:
        """Return the version that created the session; None means the configured one."""
        if not api_version or api_version == self.api_version:
            return self._version
        try:
            return load_version(api_version)
        except ValueError as error:
            # The app was rolled back to a release that does not support it yet.
            raise UpstreamFailure(
                "the session was made with an API version that this release does not support",
                request_sent=False,
            ) from error
