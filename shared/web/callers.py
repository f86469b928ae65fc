"""Who sent a request."""

import logging

from shared.access import Caller
from shared.telemetry import log_event
from shared.web.client_address import UNVOUCHED, client_network
from shared.web.endpoint import Call

_log = logging.getLogger(__name__)


def caller_of(call: Call) -> Caller:
    """The caller, as far as settings and platform vouch for it."""
    settings = call.app.settings
    network = client_network(call.request.headers, settings.client_address, settings.front_door_id)
    if network == UNVOUCHED:
        log_event(_log, logging.WARNING, "client_address_unvouched", requestId=call.request_id)
    return Caller(principal=None, network=network)
