"""The body of a create request: the fields of the contract, and the rules for their values."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.access import OPERATE, Caller
from shared.errors import (
    Forbidden,
    InvalidDeviceCorrelationId,
    InvalidLivenessOperationMode,
    InvalidRequestBody,
    InvalidTokenLifetime,
    RequestRefused,
)
from shared.face.model import Face, LivenessMode, SessionSpec
from shared.settings import Settings
from shared.text import CLIENT_REFERENCE

MIN_TOKEN_LIFETIME = 60
DEFAULT_TOKEN_LIFETIME = 600
MAX_NAME_LENGTH = 128
DEVICE_HEADER = "X-Device-Correlation-Id"

# Printable ASCII without blanks at the ends, which reads the same in a header and in a body.
_DEVICE_ID = re.compile("[!-~]([ -~]{0,62}[!-~])?")
_SHORT_NAME = re.compile("[A-Za-z0-9_]{1,64}")
# Our own words by pydantic's error types: its messages can repeat values.
_PROBLEMS = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "string_pattern_mismatch": "must be 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'",
}


class CreateBody(BaseModel):
    """The fields of the contract with their types; a field that is null counts as absent."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)

    liveness_operation_mode: str | None = None
    device_correlation_id: str | None = Field(None, repr=False)
    device_correlation_id_set_in_client: bool | None = None
    auth_token_time_to_live_in_seconds: int | None = None
    send_results_to_client: bool | None = None
    client_reference: Annotated[str, Field(pattern=f"^{CLIENT_REFERENCE.pattern}$")] | None = None
    on_behalf_of: str | None = Field(None, repr=False)

    def device_id(self, header: str | None) -> str | None:
        """The id of the device: from the body, or from its header where the client sets it."""
        return header if self.device_correlation_id_set_in_client else self.device_correlation_id

    def spec(self, longest_lifetime: int) -> SessionSpec:
        """What to ask Face for, once the rules are met; the ceiling in seconds lowers the default too."""
        lifetime = self.auth_token_time_to_live_in_seconds
        if lifetime is None:
            lifetime = min(DEFAULT_TOKEN_LIFETIME, longest_lifetime)
        return SessionSpec(
            mode=LivenessMode(self.liveness_operation_mode or ""),
            device_id=self.device_correlation_id,
            token_lifetime=lifetime,
            send_results_to_client=bool(self.send_results_to_client),
        )


def read_body(
    fields: Mapping[str, Any], device_header: str | None, face: Face, settings: Settings
) -> tuple[CreateBody, list[RequestRefused]]:
    """Return the body, and a fault for each field that breaks a rule: types first, then values.

    The body is good only where there is no fault.
    """
    faults: dict[str, RequestRefused] = {}
    try:
        body = CreateBody.model_validate(fields)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_context=False, include_input=False):
            name = str(error["loc"][0])
            faults[name] = _fault_of_type(name, error["type"])
        body = CreateBody.model_validate({name: fields[name] for name in fields if name not in faults})
    for fault in _faults_of_values(body, device_header, face, settings):
        # A field of a wrong type was left out of the body, and may look like a missing one.
        faults.setdefault(str(fault.target), fault)
    return body, list(faults.values())


def missing_rights(body: CreateBody, caller: Caller, settings: Settings) -> list[RequestRefused]:
    """Return a fault for each field that the caller's access token does not allow as it is."""
    faults: list[RequestRefused] = []
    named, granted = body.client_reference, caller.client_reference
    if granted is not None and named not in (None, granted):
        faults.append(_lacking("clientReference", "is not that of the access token"))
    elif named is not None and granted is None and settings.reference_needs_token and not caller.operator:
        faults.append(_lacking("clientReference", "needs an access token with the claim client_reference"))
    if body.on_behalf_of is not None and not caller.operator:
        faults.append(_lacking("onBehalfOf", f"needs an access token with the role {OPERATE}"))
    return faults


def _lacking(field: str, problem: str) -> Forbidden:
    return Forbidden(f"{field} {problem}.", target=field)


def _fault_of_type(name: str, kind: str) -> RequestRefused:
    if kind == "extra_forbidden":
        # An unknown name is the caller's text, so only what looks like a name is repeated.
        return InvalidRequestBody("An unknown field.", target=name if _SHORT_NAME.fullmatch(name) else None)
    return InvalidRequestBody(f"{name} {_PROBLEMS.get(kind, 'is not valid')}.", target=name)


def _faults_of_values(
    body: CreateBody, device_header: str | None, face: Face, settings: Settings
) -> Iterator[RequestRefused]:
    if body.liveness_operation_mode not in face.modes:
        yield InvalidLivenessOperationMode(face.modes)
    lifetime, longest = body.auth_token_time_to_live_in_seconds, settings.auth_token_ttl_max_seconds
    if lifetime is not None and not MIN_TOKEN_LIFETIME <= lifetime <= longest:
        yield InvalidTokenLifetime(longest)
    shows_results = settings.allow_results_to_client and settings.result_visibility != "status"
    if body.send_results_to_client and not (shows_results and face.can_send_results_to_client):
        yield InvalidRequestBody("sendResultsToClient is not available here.", target="sendResultsToClient")
    if body.device_correlation_id_set_in_client and body.device_correlation_id is not None:
        yield InvalidRequestBody(
            "deviceCorrelationId must be absent where deviceCorrelationIdSetInClient is true.",
            target="deviceCorrelationId",
        )
    name = body.on_behalf_of
    if name is not None and not (name.strip() and len(name) <= MAX_NAME_LENGTH and name.isprintable()):
        yield InvalidRequestBody("onBehalfOf must be 1 to 128 printable characters.", target="onBehalfOf")
    device_id = body.device_id(device_header)
    if not device_id or not _DEVICE_ID.fullmatch(device_id):
        in_header = body.device_correlation_id_set_in_client
        yield InvalidDeviceCorrelationId(target=DEVICE_HEADER if in_header else "deviceCorrelationId")
