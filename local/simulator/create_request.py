"""Reads the body of a create request.

Codes and messages are documented (the page of the create operation). Which of them a missing mode gets is
not: it is refused as an incorrect body here, and so are unknown fields and null for anything but the device
id.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.simulator import errors
from local.simulator.errors import Refused

COMMON_FIELDS: Mapping[str, type] = {
    "livenessOperationMode": str,
    "deviceCorrelationId": str,
    "deviceCorrelationIdSetInClient": bool,
    "authTokenTimeToLiveInSeconds": int,
}
"""The fields that all versions have, with their JSON types."""

LONGEST_DEVICE_ID = 64


@dataclass(frozen=True, slots=True)
class Schema:
    """Which fields a version takes, with their types, and which operation modes."""

    fields: Mapping[str, type]
    modes: frozenset[str]


def read(body: bytes, schema: Schema) -> dict[str, Any]:
    """Answer the fields of a create request, all of the right type and in range, or raise Refused."""
    fields = _typed(_object(body), schema)
    if fields["livenessOperationMode"] not in schema.modes:
        raise Refused(errors.INVALID_MODE)
    if not 60 <= fields.get("authTokenTimeToLiveInSeconds", 600) <= 86400:
        raise Refused(errors.INVALID_TOKEN_LIFETIME)
    if not _device_id_fits(
        fields.get("deviceCorrelationId"), fields.get("deviceCorrelationIdSetInClient", False)
    ):
        raise Refused(errors.INVALID_DEVICE_ID)
    return fields


def is_device_id(value: object) -> bool:
    """Tell whether `value` may be a device id: 1 to 64 characters."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_DEVICE_ID


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(errors.INVALID_REQUEST_BODY) from None
    if not isinstance(value, dict):
        raise Refused(errors.INVALID_REQUEST_BODY)
    return value


def _typed(fields: dict[str, Any], schema: Schema) -> dict[str, Any]:
    if fields.get("deviceCorrelationId", "") is None:
        fields = {name: value for name, value in fields.items() if name != "deviceCorrelationId"}
    if "livenessOperationMode" not in fields or not all(
        type(value) is schema.fields.get(name) for name, value in fields.items()
    ):
        raise Refused(errors.INVALID_REQUEST_BODY)
    return fields


def _device_id_fits(device_id: str | None, set_in_client: bool) -> bool:
    return device_id is None if set_in_client else is_device_id(device_id)
