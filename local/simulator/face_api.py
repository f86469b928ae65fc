"""The operations of the Face API that a broker calls."""

from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web

from local.simulator import answers, scenarios
from local.simulator.admission import Admission
from local.simulator.answers import Answer, ConnectionLost, Refused, json_answer
from local.simulator.requests import is_number, read_order, read_page
from local.simulator.scenarios import Fault
from local.simulator.sessions import Session, Sessions
from local.simulator.versions import VERSIONS, Version, show_entry, show_item
from shared.clock import Clock, Sleep

_Operation = Callable[[Version, web.Request], Awaitable[Answer]]


class FaceApi:
    """Answers the calls of a broker. `calls` counts them by operation, refused ones too."""

    def __init__(self, sessions: Sessions, admission: Admission, clock: Clock, sleep: Sleep) -> None:
        self.calls: Counter[str] = Counter(create=0, get=0, delete=0, list=0, audit=0)
        self._sessions = sessions
        self._admission = admission
        self._clock = clock
        self._sleep = sleep

    def routes(self) -> list[web.RouteDef]:
        """The routes of every version."""
        return [route for version in VERSIONS for route in self._routes(version)]

    def _routes(self, version: Version) -> list[web.RouteDef]:
        session = version.root + "/{session_id}"
        routes = [
            self._route("POST", version.root, version, "create", self._create),
            self._route("GET", session, version, "get", self._get),
            self._route("DELETE", session, version, "delete", self._delete),
        ]
        if version.has_listing:
            routes.append(self._route("GET", version.root, version, "list", self._list))
            routes.append(self._route("GET", f"{session}/audit", version, "audit", self._audit))
        return routes

    def _route(
        self, method: str, path: str, version: Version, name: str, operation: _Operation
    ) -> web.RouteDef:
        async def handle(request: web.Request) -> web.Response:
            self.calls[name] += 1
            self._admission.admit(request, version.unauthorized)
            return (await operation(version, request)).response()

        return web.route(method, path, handle)

    async def _create(self, version: Version, request: web.Request) -> Answer:
        if request.content_type != "application/json":
            raise Refused(answers.INVALID_MEDIA_TYPE)
        order = read_order(version, await request.read())
        fault = scenarios.of_device(order.device_id).fault_of("create")
        return await self._under(
            fault, lambda: json_answer(200, version.created(self._sessions.create(order)))
        )

    async def _get(self, version: Version, request: web.Request) -> Answer:
        session = self._find(request)
        fault = session.scenario.fault_of("get", session.reads)
        session.reads += 1
        return await self._under(fault, lambda: json_answer(200, version.result(session, self._clock())))

    async def _delete(self, version: Version, request: web.Request) -> Answer:
        session = self._find(request)

        def delete() -> Answer:
            self._sessions.delete(session)
            return version.deleted

        return await self._under(session.scenario.fault_of("delete"), delete)

    async def _list(self, _version: Version, request: web.Request) -> Answer:
        start, top = read_page(request.query)
        ordered = sorted(self._sessions.stored, key=lambda session: session.session_id)
        page = [session for session in ordered if session.session_id > start][:top]
        return json_answer(200, [show_item(session, self._clock()) for session in page])

    async def _audit(self, _version: Version, request: web.Request) -> Answer:
        start, top = read_page(request.query)
        session = self._find(request)
        if start and not is_number(start):
            raise Refused(answers.INVALID_START)
        page = [attempt for attempt in session.attempts if attempt.entry_id > int(start or 0)][:top]
        return json_answer(200, [show_entry(session, attempt) for attempt in page])

    def _find(self, request: web.Request) -> Session:
        return self._sessions.find(request.match_info["session_id"])

    async def _under(self, fault: Fault, effect: Callable[[], Answer]) -> Answer:
        """Refuse the call, or let it take effect and delay or lose its answer, as the fault says."""
        if fault.answer is not None:
            raise Refused(fault.answer)
        answer = effect()
        if fault.delay_s:
            await self._sleep(fault.delay_s)
        if fault.lost:
            raise ConnectionLost
        return answer
