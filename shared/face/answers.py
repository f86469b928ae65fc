"""Requests to Face and its responses, and what each API version says about them.

Results are read in `results.py`, which stands on pydantic: it is loaded with the first version, not with the app.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face.model import AuditEntry, CreatedSession, LivenessMode, SessionResult, SessionSpec
from shared.http_port import HttpAnswer
from shared.text import parse_json, parse_session_id
from shared.values import immutable

_IDENTIFIER = re.compile(r"[0-9A-Za-z._:-]{1,128}")
_TOKEN = re.compile(r"[!-~]{1,4096}")


@immutable
class UpstreamRequest:
    """One request. `path` is sent as it is. `json` can hold a device id, so the repr omits it."""

    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)


@immutable
class ApiVersion:
    """One API version: builds requests, and reads responses or raises `UpstreamFailure`.

    The requests about one session raise `UpstreamSessionGone` for an id that no session can have. `deleted_status` is
    the status of the response to a delete. `read_audit` and `with_audit` are None if the version has no audit. If it
    has one, its result shows only the last attempt, and `with_audit` adds the others.
    """

    name: str
    resource: str
    modes: tuple[LivenessMode, ...]
    can_send_results_to_client: bool
    deleted_status: int
    read_result: Callable[[HttpAnswer, str], SessionResult]
    read_audit: Callable[[HttpAnswer, str], tuple[AuditEntry, ...]] | None
    with_audit: Callable[[SessionResult, Sequence[AuditEntry]], SessionResult] | None = None
    fixed_options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def create_request(self, spec: SessionSpec) -> UpstreamRequest:
        """Build the request for a new session; the client names its device if `spec` does not."""
        content: dict[str, object] = {
            "livenessOperationMode": spec.mode.value,
            "authTokenTimeToLiveInSeconds": spec.token_lifetime,
            "deviceCorrelationIdSetInClient": spec.device_id is None,
            **self.fixed_options,
        }
        if self.can_send_results_to_client:
            content["sendResultsToClient"] = spec.send_results_to_client
        if spec.device_id is not None:
            content["deviceCorrelationId"] = spec.device_id
        return UpstreamRequest("POST", f"/face/{self.name}/{self.resource}", content)

    def request(self, method: str, session_id: str, suffix: str = "") -> UpstreamRequest:
        """Build a request about one session."""
        if parse_session_id(session_id) is None:
            raise UpstreamSessionGone
        return UpstreamRequest(method, f"/face/{self.name}/{self.resource}/{session_id}{suffix}")

    def require_deleted(self, response: HttpAnswer) -> None:
        """Raise `UpstreamFailure` unless the response to a delete can be Face's own: it has no content."""
        if response.status != self.deleted_status or response.unread or response.body:
            raise broken(response, f"status {response.status} does not confirm a delete")


def read_created(response: HttpAnswer) -> CreatedSession:
    """Read the response to a create; raises `UpstreamFailure`."""
    created = read_json(response)
    if not isinstance(created, dict):
        raise broken(response, "not an object")
    session_id, token = created.get("sessionId"), created.get("authToken")
    if not isinstance(session_id, str) or parse_session_id(session_id) is None:
        raise broken(response, "the session id is not a GUID")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise broken(response, "the token is not printable")
    return CreatedSession(session_id, token)


def read_json(response: HttpAnswer) -> object:
    """Read the content of a successful response; raises `UpstreamFailure` if it is not strict JSON."""
    if response.status not in (200, 201):
        raise broken(response, f"unexpected status {response.status}")
    if response.unread:
        raise broken(response, "too large, or compressed although that was ruled out")
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise broken(response, "not announced as JSON")
    try:
        content: object = parse_json(response.body)
    except ValueError as problem:
        raise broken(response, f"not strict JSON: {type(problem).__name__}") from problem
    return content


def broken(response: HttpAnswer, what: str) -> UpstreamFailure:
    """Build the error for a response that breaks the contract."""
    return UpstreamFailure(f"not Face's contract: {what}", upstream_request_id=request_id_of(response))


def request_id_of(response: HttpAnswer) -> str | None:
    """Face's own id of a call, which a support case asks for."""
    return identifier(response.headers.get("apim-request-id"))


def identifier(text: str | None) -> str | None:
    """Return `text` if it can only be an identifier, so that it is safe in logs and events; else None."""
    return text if text and _IDENTIFIER.fullmatch(text) else None


def printable(text: str, length: int = 256) -> str:
    """Return at most `length` characters of `text` on one line, without control and direction characters."""
    return "".join(character if character.isprintable() else " " for character in text[:length])
