"""The whole simulator without its socket: a request in, an answer out."""

from collections.abc import Callable
from dataclasses import replace

from local.simulator import cors, errors
from local.simulator.bucket import TokenBucket
from local.simulator.clock import Clock
from local.simulator.console import Console
from local.simulator.errors import Refused
from local.simulator.gateway import Credentials, Gateway
from local.simulator.identifiers import Identifiers
from local.simulator.messages import Answer, Request
from local.simulator.phone import Phone
from local.simulator.switch import FaultSwitch
from local.simulator.upstream import Upstream

OWN_ROUTES = "/simulator/"


class Simulation:
    """One Face resource, its phones, and the routes that show and disturb it."""

    def __init__(
        self, *, credentials: Credentials, clock: Clock, identifiers: Identifiers, tps: float | None = None
    ) -> None:
        bucket = None if tps is None else TokenBucket(tps, clock)
        self.switch = FaultSwitch()
        self.upstream = Upstream(clock, identifiers)
        self.gateway = Gateway(self.upstream, credentials, clock, self.switch, bucket)
        phone = Phone(self.upstream, identifiers, clock, bucket)
        console = Console(self.upstream, self.gateway.calls, self.switch, clock)
        self._own_routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("POST", "start"): phone.start,
            ("POST", "perform"): phone.perform,
            ("GET", "scenarios"): console.scenarios,
            ("GET", "sessions"): console.sessions,
            ("GET", "calls"): console.calls,
            ("POST", "fault"): console.fail,
            ("DELETE", "fault"): console.recover,
        }

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        if not request.path.startswith(OWN_ROUTES):
            return self.gateway.answer(request)
        origin = request.headers.get("origin")
        if origin is None:
            return self._own(request)
        if not cors.is_allowed(origin):
            return errors.ORIGIN_REFUSED
        answer = Answer(204) if request.method == "OPTIONS" else self._own(request)
        return replace(answer, headers={**answer.headers, **cors.headers(origin)})

    def _own(self, request: Request) -> Answer:
        route = self._own_routes.get((request.method, request.path.removeprefix(OWN_ROUTES)))
        try:
            return errors.RESOURCE_NOT_FOUND if route is None else route(request)
        except Refused as refusal:
            return refusal.answer
