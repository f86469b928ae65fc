"""The body of a create request: what the contract takes, and nothing else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

from shared.errors import (
    InvalidDeviceCorrelationId,
    InvalidLivenessOperationMode,
    InvalidRequestBody,
    InvalidTokenLifetime,
)
from shared.face.model import Face, LivenessMode, SessionSpec

MIN_TOKEN_LIFETIME = 60
DEFAULT_TOKEN_LIFETIME = 600
MAX_DEVICE_ID_LENGTH = 64

_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TYPES: dict[str, tuple[type, ...]] = {
    "livenessOperationMode": (str,),
    "deviceCorrelationId": (str, NoneType),
    "deviceCorrelationIdSetInClient": (bool,),
    "authTokenTimeToLiveInSeconds": (int,),
    "sendResultsToClient": (bool,),
    "clientReference": (str, NoneType),
}


@dataclass(frozen=True, slots=True)
class CreateBody:
    """The fields of the contract, with the types that they are to have; values are judged by the rules below."""

    liveness_operation_mode: str | None
    device_correlation_id: str | None = field(repr=False)
    device_correlation_id_set_in_client: bool
    auth_token_time_to_live_in_seconds: int | None
    send_results_to_client: bool
    client_reference: str | None


def parse_body(fields: Mapping[str, Any]) -> CreateBody:
    """Take the fields of the contract; raises `InvalidRequestBody` for any other field or type."""
    if fields.keys() - _TYPES.keys():
        # Without its name, which is the caller's text.
        raise InvalidRequestBody("an unknown field")
    for name, value in fields.items():
        # The type itself: true is no integer here, although Python says so.
        if type(value) not in _TYPES[name]:
            raise InvalidRequestBody(f"{name} is of another type")
    reference = fields.get("clientReference")
    if reference is not None and not _REFERENCE.fullmatch(reference):
        raise InvalidRequestBody("clientReference has other characters, or too many")
    return CreateBody(
        liveness_operation_mode=fields.get("livenessOperationMode"),
        device_correlation_id=fields.get("deviceCorrelationId"),
        device_correlation_id_set_in_client=fields.get("deviceCorrelationIdSetInClient", False),
        auth_token_time_to_live_in_seconds=fields.get("authTokenTimeToLiveInSeconds"),
        send_results_to_client=fields.get("sendResultsToClient", False),
        client_reference=reference,
    )


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
    token_lifetime = body.auth_token_time_to_live_in_seconds
    if token_lifetime is None:
        token_lifetime = min(DEFAULT_TOKEN_LIFETIME, longest_lifetime)
    if not MIN_TOKEN_LIFETIME <= token_lifetime <= longest_lifetime:
        raise InvalidTokenLifetime(longest_lifetime)
    if body.send_results_to_client and (hides_decisions or not face.can_send_results_to_client):
        raise InvalidRequestBody("sendResultsToClient is not to be had here")
    return SessionSpec(
        mode=LivenessMode(body.liveness_operation_mode),
        device_id=body.device_correlation_id,
        token_lifetime=token_lifetime,
        send_results_to_client=body.send_results_to_client,
    )
