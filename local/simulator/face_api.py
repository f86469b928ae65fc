"""The operations of the Face API that a broker calls."""

import base64
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from local.simulator import answers, scenarios
from local.simulator.admission import Admission
from local.simulator.answers import Answer, ConnectionLost, Refused, json_answer, read_object
from local.simulator.scenarios import Fault
from local.simulator.sessions import Session, Sessions
from local.simulator.versions import (
    LONGEST_ID,
    VERSIONS,
    Version,
    date_time,
    read_create,
    show_entry,
    show_item,
)
from shared.text import Clock, Sleep

CALLS = ("create", "get", "delete", "list", "audit", "image", "settings")
_LARGEST_TOP = 1000
_ASSETS_TOKEN_LIFE_MS = 3600 * 1000
_JSON_TYPES = ("application/json", "application/merge-patch+json")

_Operation = Callable[[Version, web.Request], Awaitable[Answer]]


class FaceApi:
    """Answers the calls of a broker. `calls` counts them by operation, refused ones too."""

    def __init__(self, sessions: Sessions, admission: Admission, clock: Clock, sleep: Sleep) -> None:
        self.calls: Counter[str] = Counter(dict.fromkeys(CALLS, 0))
        self._sessions = sessions
        self._admission = admission
        self._clock = clock
        self._sleep = sleep

    def routes(self) -> list[web.RouteDef]:
        """The routes of every version."""
        return [route for version in VERSIONS for route in self._routes(version)]

    def _routes(self, version: Version) -> list[web.RouteDef]:
        session = version.root + "/{session_id}"
        operations: list[tuple[str, str, str, _Operation]] = [
            ("POST", version.root, "create", self._create),
            ("GET", session, "get", self._get),
            ("DELETE", session, "delete", self._delete),
        ]
        if version.has_listing:
            operations.append(("GET", version.root, "list", self._list))
            operations.append(("GET", f"{session}/audit", "audit", self._audit))
        if version.has_images:
            operations.append(("GET", f"{version.base}/sessionImages/{{image_id}}", "image", self._image))
        if version.has_settings:
            settings = f"{version.base}/settings"
            operations.append(("GET", settings, "settings", self._settings))
            operations.append(("PATCH", settings, "settings", self._change_settings))
            operations.append(("GET", f"{settings}/getClientAssetsAccessToken", "settings", self._assets))
        # An endpoint that ends with a slash, as in the settings of Microsoft's samples, makes a path with two.
        return [
            web.route(
                method, "/{slashes:/*}" + path.removeprefix("/"), self._handler(version, name, operation)
            )
            for method, path, name, operation in operations
        ]

    def _handler(
        self, version: Version, name: str, operation: _Operation
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self.calls[name] += 1
            self._admission.admit(name, request, version.unauthorized)
            return (await operation(version, request)).response()

        return handle

    async def _create(self, version: Version, request: web.Request) -> Answer:
        if request.content_type != "application/json":
            raise Refused(answers.INVALID_MEDIA_TYPE)
        order = read_create(version, await request.read())
        fault = scenarios.of_device(order.get("deviceCorrelationId")).fault_of("create")
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
        start, top = _read_page(request.query)
        ordered = sorted(self._sessions.stored, key=lambda session: session.session_id)
        page = [session for session in ordered if session.session_id > start][:top]
        return json_answer(200, [show_item(session, self._clock()) for session in page])

    async def _audit(self, _version: Version, request: web.Request) -> Answer:
        start, top = _read_page(request.query)
        session = self._find(request)
        if start and not _is_number(start):
            raise Refused(answers.INVALID_START)
        page = [attempt for attempt in session.attempts if attempt.entry_id > int(start or 0)][:top]
        return json_answer(200, [show_entry(session, attempt) for attempt in page])

    async def _image(self, _version: Version, request: web.Request) -> Answer:
        self._sessions.require_image(request.match_info["image_id"])
        return answers.SESSION_IMAGE

    async def _settings(self, _version: Version, _request: web.Request) -> Answer:
        return json_answer(200, {"livenessAbuseMonitoring": {"enabled": self._sessions.monitors_abuse}})

    async def _change_settings(self, version: Version, request: web.Request) -> Answer:
        if request.content_type not in _JSON_TYPES:
            raise Refused(answers.INVALID_MEDIA_TYPE)
        match read_object(await request.read()):
            case {"livenessAbuseMonitoring": {"enabled": bool(enabled)}}:
                self._sessions.monitors_abuse = enabled
                return await self._settings(version, request)
        raise Refused(answers.INVALID_REQUEST_BODY)

    async def _assets(self, _version: Version, _request: web.Request) -> Answer:
        """Answer with a token that opens nothing: the real one is for the package feed of the Vision SDK."""
        token = secrets.token_urlsafe(48)
        expiry = date_time(self._clock() + _ASSETS_TOKEN_LIFE_MS)
        encoded = base64.b64encode(token.encode()).decode()
        return json_answer(200, {"expiry": expiry, "accessToken": token, "base64AccessToken": encoded})

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


def _read_page(query: Mapping[str, str]) -> tuple[str, int]:
    """Read `start` (the id before the page) and `top` (the size of the page); raises `Refused`."""
    start, top = query.get("start", ""), query.get("top", str(_LARGEST_TOP))
    if len(start) > LONGEST_ID:
        raise Refused(answers.INVALID_START)
    if not (_is_number(top) and 1 <= int(top) <= _LARGEST_TOP):
        raise Refused(answers.INVALID_TOP)
    return start, int(top)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID
