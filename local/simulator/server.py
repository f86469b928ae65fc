"""The simulator on a socket."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from local.loopback import is_local, only_this_machine
from local.simulator import answers
from local.simulator.admission import Admission
from local.simulator.answers import ConnectionLost, Refused, read_object
from local.simulator.face_api import CALLS, FaceApi
from local.simulator.phone import Phone
from local.simulator.scenarios import SCENARIOS, Fault
from local.simulator.sessions import Session, Sessions
from local.simulator.versions import date_time
from shared.text import Clock, Sleep, system_clock

_REQUEST_ID = web.RequestKey("request_id", str)
_OWN_ROUTES = "/simulator/"
_YEAR_SECONDS = 366 * 24 * 3600

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MovableClock:
    """A `Clock` that can be moved on, so that nobody has to wait for a session to expire. It never goes back."""

    def __init__(self, clock: Clock) -> None:
        self.moved_ms = 0
        self._clock = clock

    def __call__(self) -> int:
        """Answer the time in unix milliseconds."""
        return self._clock() + self.moved_ms

    def move_on(self, seconds: int) -> None:
        """Let `seconds` pass at once."""
        self.moved_ms += seconds * 1000


class FaceSimulator:
    """Azure Face as a broker and a phone see it: one resource with one rate limit.

    `key` is the subscription key; `clock` returns unix milliseconds; `tps` limits the calls in a second (None: no
    limit). The attribute `clock` is that clock and what it was moved on by. A stopped simulator can be started again,
    and keeps its sessions.
    """

    def __init__(
        self,
        *,
        key: str,
        clock: Clock = system_clock,
        sleep: Sleep = asyncio.sleep,
        tps: float | None = None,
    ) -> None:
        self.clock = MovableClock(clock)
        self._admission = Admission(key, self.clock, tps)
        self._sessions = Sessions(self.clock)
        self._face_api = FaceApi(self._sessions, self._admission, self.clock, sleep)
        self._phone = Phone(self._sessions, self._admission)
        self._runner: web.AppRunner | None = None

    @property
    def keys(self) -> set[str]:
        """The valid subscription keys. They may change at any time."""
        return self._admission.keys

    @keys.setter
    def keys(self, keys: set[str]) -> None:
        self._admission.keys = keys

    @property
    def calls(self) -> Mapping[str, int]:
        """The number of calls of each operation, refused ones included."""
        return dict(self._face_api.calls)

    @property
    def throttled(self) -> int:
        """The number of calls of brokers that got a 429 of the rate limit or of `fail`, and not of a magic id."""
        return self._admission.throttled

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions as they are now: the stored ones, then the deleted ones (`deleted` is true)."""
        return self._sessions.stored + self._sessions.deleted

    def fail(self, status: int, count: int | None = None, call: str | None = None) -> None:
        """Answer the next `count` calls of a broker with `status` (None: all calls until `recover`).

        `call` is the operation that fails, such as `create` (None: each).
        """
        self._admission.fail(Fault(answers.of_status(status)), count, call)

    def go_down(self, count: int | None = None, call: str | None = None) -> None:
        """Reset the connections of the next `count` calls of a broker (None: all until `recover`)."""
        self._admission.fail(Fault(lost=True), count, call)

    def recover(self) -> None:
        """End what `fail` or `go_down` began."""
        self._admission.fail(None)

    @property
    def url(self) -> str:
        """The address, without a slash at the end; raises `RuntimeError` if the simulator is not started."""
        if self._runner is None:
            raise RuntimeError("the simulator is not started")
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, on a free port unless one is given; raises `OSError` if the port is taken."""
        guards = [only_this_machine(), _share_with_local_pages]
        app = web.Application(middlewares=[_give_request_id, *guards, _translate_errors])
        app.add_routes([*self._face_api.routes(), *self._own_routes()])
        # Calls that sleep in a slow scenario are cut off, not waited for.
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Close the socket and the connections."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def _own_routes(self) -> list[web.RouteDef]:
        return [
            web.post("/simulator/perform", self._perform),
            web.get("/simulator/scenarios", self._show_scenarios),
            web.post("/simulator/fault", self._fail),
            web.delete("/simulator/fault", self._recover),
            web.get("/simulator/clock", self._show_clock),
            web.post("/simulator/clock", self._move_clock),
        ]

    async def _perform(self, request: web.Request) -> web.Response:
        return (await self._phone.perform(request, request[_REQUEST_ID])).response()

    async def _show_scenarios(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                {
                    "deviceId": each.device_id,
                    "call": each.call,
                    "happens": each.happens,
                    "appGets": each.app_gets,
                    "appGetsIn": each.app_gets_in,
                }
                for each in SCENARIOS
            ]
        )

    async def _fail(self, request: web.Request) -> web.Response:
        """Make the next calls fail: `{"status": 503}` or `{"down": true}`, with `count` and `call` if wanted."""
        match read_object(await request.read()):
            case {"count": count} if type(count) is not int or count < 1:
                raise Refused(answers.INVALID_REQUEST_BODY)
            case {"call": call} if call not in CALLS:
                raise Refused(answers.INVALID_REQUEST_BODY)
            case {"down": True, **rest} if rest.keys() <= {"count", "call"}:
                self.go_down(**rest)
            case {"status": int(status), **rest} if 400 <= status <= 599 and rest.keys() <= {"count", "call"}:
                self.fail(status, **rest)
            case _:
                raise Refused(answers.INVALID_REQUEST_BODY)
        return web.Response(status=204)

    async def _recover(self, _request: web.Request) -> web.Response:
        self.recover()
        return web.Response(status=204)

    async def _show_clock(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"now": date_time(self.clock()), "movedSeconds": self.clock.moved_ms // 1000}
        )

    async def _move_clock(self, request: web.Request) -> web.Response:
        """Move the clock on: `{"seconds": 600}`, at most a year at once."""
        match read_object(await request.read()):
            case {"seconds": seconds} if type(seconds) is int and 1 <= seconds <= _YEAR_SECONDS:
                self.clock.move_on(seconds)
                return await self._show_clock(request)
        raise Refused(answers.INVALID_REQUEST_BODY)


@web.middleware
async def _give_request_id(request: web.Request, handler: _Handler) -> web.StreamResponse:
    request[_REQUEST_ID] = str(uuid.uuid4())
    response = await handler(request)
    response.headers["apim-request-id"] = request[_REQUEST_ID]
    return response


@web.middleware
async def _share_with_local_pages(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Let web pages use the simulator's own routes if they are served from this machine."""
    origin = request.headers.get("Origin", "")
    if not request.path.startswith(_OWN_ROUTES) or not is_local(origin):
        return await handler(request)
    response = web.Response(status=204) if request.method == "OPTIONS" else await handler(request)
    response.headers.update(
        {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "authorization, content-type, client-request-id",
            "Access-Control-Expose-Headers": "apim-request-id, x-ms-error-code",
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
        }
    )
    return response


@web.middleware
async def _translate_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refusal:
        return refusal.answer.response()
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return answers.RESOURCE_NOT_FOUND.response()
    except web.HTTPException as error:
        return answers.of_status(error.status).response()
    except ConnectionLost:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)
