"""What the API versions share in reading results: strictly, by allow-list."""

import logging
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.face.answers import broken, identifier, printable, read_json
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.http_port import HttpAnswer
from shared.telemetry import log_event

_logger = logging.getLogger(__name__)


class Part(BaseModel):
    """A part of a response: its fields are read strictly, and all other fields are ignored."""

    # Errors hide the input: their text ends in the log, and the input can be a token. The validators are built with the
    # first result: the first create would otherwise wait for them.
    model_config = ConfigDict(
        strict=True,
        extra="ignore",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
        defer_build=True,
    )


Digest = Annotated[
    Annotated[str, Field(pattern="^[!-~]{1,128}$")] | None,
    BeforeValidator(lambda value: None if value == "" else value),
]
"""What the phone's SDK and Face both compute of an attempt: 64 hexadecimal digits, as far as is published."""

AttemptId = Annotated[int, Field(ge=0, lt=2**63)]
"""The id of an attempt: records keep it, and a row has no room for a number of any length."""

_P = TypeVar("_P", bound=Part)


def read(model: type[_P], response: HttpAnswer) -> _P:
    """Read a successful response; raises `UpstreamFailure` if it breaks the contract."""
    return read_part(model, read_json(response), response)


def read_all(model: type[_P], response: HttpAnswer) -> list[_P]:
    """Read a successful response that is an array, as `read` does."""
    content = read_json(response)
    if not isinstance(content, list):
        raise broken(response, "not an array")
    return [read_part(model, part, response) for part in content]


def read_part(model: type[_P], content: object, response: HttpAnswer) -> _P:
    """Read a part of a response that is already parsed; raises `UpstreamFailure`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise broken(response, f"{first['type']} at {place or 'the top'}") from problem


def require_session(found: str, expected: str, response: HttpAnswer) -> None:
    """Raise `UpstreamFailure` if the response is about another session than the request."""
    if found != expected:
        raise broken(response, "the answer is about another session")


def status_of(text: str, known: Mapping[str, SessionStatus]) -> SessionStatus:
    """Translate a status; an unknown one is not final."""
    if text not in known:
        log_event(_logger, logging.WARNING, "face_status_unknown", status=printable(text, 64))
    return known.get(text, SessionStatus.STARTED)


_UNKNOWN_DECISION = "UnknownDecision"


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
        return Failure(_UNKNOWN_DECISION, "The attempt ended with a decision that is not known.")


def failure(code: str | None, message: str | None, ended_as: str) -> Failure:
    """Describe why an attempt failed: in Face's words where they are safe to pass on, else by how it ended."""
    plain = printable(ended_as, 64)
    return Failure(
        identifier(code) or identifier(plain) or "Unspecified",
        printable(message or "") or f"The attempt ended with {plain}.",
    )


def decided(outcome: LivenessDecision | Failure | None) -> str | None:
    """What an attempt decided, or None if it ended without a decision."""
    if isinstance(outcome, LivenessDecision):
        return outcome.value
    return "unknown" if outcome and outcome.code == _UNKNOWN_DECISION else None


def ended(
    outcome: LivenessDecision | Failure,
    *,
    attempts: int,
    attempts_allowed: int,
    digest: str | None,
    request_id: str | None,
) -> SessionResult:
    """Build the result of a session whose last attempt ended in `outcome`."""
    decision = decided(outcome)
    return SessionResult(
        SessionStatus.RESULT_AVAILABLE,
        attempts=attempts,
        decision=outcome if isinstance(outcome, LivenessDecision) else None,
        failure=outcome if isinstance(outcome, Failure) else None,
        digest=digest,
        request_id=request_id,
        may_retry=decision is None and attempts < attempts_allowed,
        decisions=((attempts, decision),) if decision else (),
    )
