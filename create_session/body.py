"""The body of a create request: what the contract takes, and nothing else."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import (
    InvalidDeviceCorrelationId,
    InvalidLivenessOperationMode,
    InvalidRequestBody,
    InvalidTokenLifetime,
)
from shared.face.model import Face, LivenessMode, SessionSpec

MIN_TOKEN_LIFETIME = 60
MAX_DEVICE_ID_LENGTH = 64

_Reference = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9._:-]{1,128}\z")]


class CreateBody(BaseModel):
    """The fields by their upstream names; types are taken strictly, values are judged by the rules below."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # By the first create: the other functions start without it.
    )

    liveness_operation_mode: str | None = None
    device_correlation_id: str | None = None
    device_correlation_id_set_in_client: bool = False
    auth_token_time_to_live_in_seconds: int = 600
    send_results_to_client: bool = False
    client_reference: _Reference | None = None


def parse_body(fields: dict[str, Any]) -> CreateBody:
    """Take the fields of the contract; raises `InvalidRequestBody` for any other field or type."""
    try:
        return CreateBody.model_validate(fields)
    except ValidationError as error:
        # The kinds of error alone: names and values of unknown fields are the caller's text.
        kinds = sorted({problem["type"] for problem in error.errors(include_input=False, include_url=False)})
        raise InvalidRequestBody(", ".join(kinds)) from None


def device_id_of(body: CreateBody, header_value: str | None) -> str:
    """Which device asks: named in the body, or by itself in the header where it is set in the client."""
    if body.device_correlation_id_set_in_client and body.device_correlation_id is not None:
        raise InvalidRequestBody("deviceCorrelationId together with deviceCorrelationIdSetInClient")
    device_id = header_value if body.device_correlation_id_set_in_client else body.device_correlation_id
    if not device_id or len(device_id) > MAX_DEVICE_ID_LENGTH:
        raise InvalidDeviceCorrelationId
    return device_id


def spec_of(body: CreateBody, face: Face, longest_lifetime: int, *, hides_decisions: bool) -> SessionSpec:
    """What to ask the upstream for; raises where its version, or the operator, does not have it."""
    if body.liveness_operation_mode not in face.modes:
        raise InvalidLivenessOperationMode(face.modes)
    if not MIN_TOKEN_LIFETIME <= body.auth_token_time_to_live_in_seconds <= longest_lifetime:
        raise InvalidTokenLifetime(longest_lifetime)
    if body.send_results_to_client and (hides_decisions or not face.can_send_results_to_client):
        raise InvalidRequestBody("sendResultsToClient is not to be had here")
    return SessionSpec(
        mode=LivenessMode(body.liveness_operation_mode),
        device_id=body.device_correlation_id,
        token_lifetime=body.auth_token_time_to_live_in_seconds,
        send_results_to_client=body.send_results_to_client,
    )
