"""Reads what requests hold."""

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from local.simulator import answers
from local.simulator.answers import Refused
from local.simulator.sessions import Order
from local.simulator.versions import Version

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""The id of the request: the `apim-request-id` of its answer."""

_LONGEST_ID = 64
_LARGEST_TOP = 1000


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raises `Refused` for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(answers.INVALID_REQUEST_BODY) from None
    if not isinstance(value, dict):
        raise Refused(answers.INVALID_REQUEST_BODY)
    return value


def is_device_id(value: object) -> bool:
    """Return whether a value may be a device id: 1 to 64 characters."""
    return isinstance(value, str) and 1 <= len(value) <= _LONGEST_ID


def read_order(version: Version, body: bytes) -> Order:
    """Read the body of a create request; raises `Refused`.

    Codes and messages are documented (the page of the create operation). The code for a missing mode, for unknown
    fields and for null (for anything but the device id) is not: here it is `InvalidRequestBody`.
    """
    fields = read_object(body)
    if fields.get("deviceCorrelationId", "") is None:
        del fields["deviceCorrelationId"]
    if "livenessOperationMode" not in fields or not all(
        type(value) is version.fields.get(name) for name, value in fields.items()
    ):
        raise Refused(answers.INVALID_REQUEST_BODY)
    if fields["livenessOperationMode"] not in version.modes:
        raise Refused(answers.INVALID_MODE)
    order = _order(version, fields)
    if not 60 <= order.lifetime_s <= 86400:
        raise Refused(answers.INVALID_TOKEN_LIFETIME)
    if not (order.device_id is None if order.device_id_set_in_client else is_device_id(order.device_id)):
        raise Refused(answers.INVALID_DEVICE_ID)
    if not 1 <= order.attempts_allowed <= 3:
        raise Refused(answers.INVALID_REQUEST_BODY)
    return order


def _order(version: Version, fields: Mapping[str, Any]) -> Order:
    return Order(
        device_id=fields.get("deviceCorrelationId"),
        device_id_set_in_client=fields.get("deviceCorrelationIdSetInClient", False),
        lifetime_s=fields.get("authTokenTimeToLiveInSeconds", 600),
        send_results=fields.get("sendResultsToClient", False),
        session_image=fields.get("enableSessionImage", False),
        model_version=fields.get("livenessModelVersion"),
        attempts_allowed=fields.get("numberOfClientAttemptsAllowed", version.attempts_allowed),
        expected_address=fields.get("expectedClientIpAddress"),
    )


def read_page(query: Mapping[str, str]) -> tuple[str, int]:
    """Read `start` (the id before the page) and `top` (the size of the page); raises `Refused`."""
    start, top = query.get("start", ""), query.get("top", str(_LARGEST_TOP))
    if len(start) > _LONGEST_ID:
        raise Refused(answers.INVALID_START)
    if not (is_number(top) and 1 <= int(top) <= _LARGEST_TOP):
        raise Refused(answers.INVALID_TOP)
    return start, int(top)


def is_number(text: str) -> bool:
    """Return whether a text consists of 1 to 64 digits."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
