"""Requests to Face and its responses, and what the API versions share in reading them: strictly, by allow-list."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import UpstreamFailure, UpstreamSessionGone
from shared.face.model import (
    AuditEntry,
    CreatedSession,
    Failure,
    LivenessDecision,
    LivenessMode,
    SessionResult,
    SessionSpec,
    SessionStatus,
    parse_session_id,
)
from shared.telemetry import log_event
from shared.text import parse_json

_logger = logging.getLogger(__name__)

_IDENTIFIER = re.compile(r"[0-9A-Za-z._:-]{1,128}")

Digest = Annotated[str, Field(pattern="^[!-~]{1,128}$")]
"""What the phone's SDK and Face both compute of an attempt: 64 hexadecimal digits, as far as is published."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request. `path` is sent as it is. `json` can hold a device id, so the repr omits it."""

    method: str
    path: str
    json: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """One response. The names in `headers` are in lower case. `body` may hold a token, so the repr omits it.

    `unread` is true, and `body` empty, where the body was too large, or compressed although that was ruled out.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    unread: bool = False

    @property
    def request_id(self) -> str | None:
        """Face's own id of this call, which a support case asks for."""
        return identifier(self.headers.get("apim-request-id"))


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """One API version: builds requests, and reads responses or raises `UpstreamFailure`.

    The requests about one session raise `UpstreamSessionGone` for an id that no session can have. `read_audit` is
    None if the version has no audit.
    """

    name: str
    resource: str
    modes: tuple[LivenessMode, ...]
    can_send_results_to_client: bool
    read_result: Callable[[UpstreamResponse, str], SessionResult]
    read_audit: Callable[[UpstreamResponse, str], tuple[AuditEntry, ...]] | None
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


class Part(BaseModel):
    """A part of a response: its fields are read strictly, and all other fields are ignored."""

    # Errors hide the input: their text ends in the log, and the input can be a token. Models are built on first use,
    # because an app speaks one API version and its start should not wait for the others.
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        defer_build=True,
    )


class _Created(Part):
    session_id: str
    auth_token: Annotated[str, Field(pattern="^[!-~]{1,4096}$", repr=False)]


_P = TypeVar("_P", bound=Part)


def read_created(response: UpstreamResponse) -> CreatedSession:
    """Read the response to a create; raises `UpstreamFailure`."""
    created = read(_Created, response)
    if parse_session_id(created.session_id) is None:
        raise broken(response, "the session id is not a GUID")
    return CreatedSession(created.session_id, created.auth_token)


def read(model: type[_P], response: UpstreamResponse) -> _P:
    """Read a successful response; raises `UpstreamFailure` if it breaks the contract."""
    return read_part(model, _content(response), response)


def read_all(model: type[_P], response: UpstreamResponse) -> list[_P]:
    """Read a successful response that is an array, as `read` does."""
    content = _content(response)
    if not isinstance(content, list):
        raise broken(response, "not an array")
    return [read_part(model, part, response) for part in content]


def read_part(model: type[_P], content: object, response: UpstreamResponse) -> _P:
    """Read a part of a response that is already parsed; raises `UpstreamFailure`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise broken(response, f"{first['type']} at {place or 'the top'}") from problem


def _content(response: UpstreamResponse) -> object:
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


def require_session(found: str, expected: str, response: UpstreamResponse) -> None:
    """Raise `UpstreamFailure` if the response is about another session than the request."""
    if found != expected:
        raise broken(response, "the answer is about another session")


def status_of(text: str, known: Mapping[str, SessionStatus]) -> SessionStatus:
    """Translate a status; an unknown one is not final."""
    if text not in known:
        log_event(_logger, logging.WARNING, "face_status_unknown", status=printable(text, 64))
    return known.get(text, SessionStatus.STARTED)


def verdict(decision: str | None) -> LivenessDecision | Failure:
    """Read the decision of an attempt that succeeded; an unknown value is a failure, never a pass.

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
    """Describe why an attempt failed: in Face's words where they are safe to pass on, else by how it ended."""
    plain = printable(ended_as, 64)
    return Failure(
        identifier(code) or identifier(plain) or "Unspecified",
        printable(message or "") or f"The attempt ended with {plain}.",
    )


def ended(
    outcome: LivenessDecision | Failure, *, attempts: int, digest: str | None, request_id: str | None
) -> SessionResult:
    """Build the result of a session whose last attempt ended in `outcome`."""
    return SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        attempts=attempts,
        decision=outcome if isinstance(outcome, LivenessDecision) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        digest=digest,
        request_id=request_id,
    )


def broken(response: UpstreamResponse, what: str) -> UpstreamFailure:
    """Build the error for a response that breaks the contract."""
    return UpstreamFailure(f"not Face's contract: {what}", upstream_request_id=response.request_id)


def identifier(text: str | None) -> str | None:
    """Return `text` if it can only be an identifier, so that it is safe in logs and events; else None."""
    return text if text and _IDENTIFIER.fullmatch(text) else None


def printable(text: str, length: int = 256) -> str:
    """Return at most `length` characters of `text` on one line, without control and direction characters."""
    return "".join(character if character.isprintable() else " " for character in text[:length])
