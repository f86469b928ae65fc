"""Who sent a request."""

from shared.callers import Caller
from shared.web.client_address import client_network
from shared.web.endpoint import Call


def caller_of(call: Call) -> Caller:
    """The caller, as far as settings and platform vouch for it."""
    settings = call.app.settings
    network = client_network(call.request.headers, settings.client_address, settings.front_door_id)
    return Caller(principal=None, network=network)
