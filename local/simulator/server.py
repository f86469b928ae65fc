"""The simulator on a socket: the only module here that knows aiohttp."""

import asyncio
from collections.abc import Collection, Mapping

from aiohttp import web

from local.simulator.clock import Clock, Sleep, system_clock
from local.simulator.errors import CONNECTION_LOST, of_status
from local.simulator.gateway import Credentials
from local.simulator.identifiers import Identifiers, RandomIdentifiers
from local.simulator.messages import Answer, Request
from local.simulator.simulation import Simulation
from local.simulator.upstream import Session


class FaceSimulator:
    """Azure Face as seen from a broker and from a phone, for one resource with one rate limit.

    `key` is the subscription key, or all that are valid; `bearer_tokens` are the Entra tokens that are valid;
    `clock` answers unix milliseconds; `tps` limits the calls in a second (None: not at all). It can be
    stopped and started again and keeps its sessions.
    """

    def __init__(
        self,
        *,
        key: str | Collection[str],
        bearer_tokens: Collection[str] = (),
        clock: Clock = system_clock,
        sleep: Sleep = asyncio.sleep,
        tps: float | None = None,
        identifiers: Identifiers | None = None,
    ) -> None:
        keys = {key} if isinstance(key, str) else set(key)
        self._credentials = Credentials(keys, set(bearer_tokens))
        self._identifiers = identifiers or RandomIdentifiers()
        self._simulation = Simulation(
            credentials=self._credentials, clock=clock, identifiers=self._identifiers, tps=tps
        )
        self._sleep = sleep
        self._runner: web.ServerRunner | None = None

    @property
    def keys(self) -> set[str]:
        """The subscription keys that are valid: may be changed or replaced at any time."""
        return self._credentials.keys

    @keys.setter
    def keys(self, keys: Collection[str]) -> None:
        self._credentials.keys = set(keys)

    @property
    def bearer_tokens(self) -> set[str]:
        """The Entra tokens that are valid: may be changed at any time."""
        return self._credentials.bearer_tokens

    @property
    def calls(self) -> Mapping[str, int]:
        """How many calls there were of create, get, delete, list and audit, refused ones included."""
        return dict(self._simulation.gateway.calls)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions as they are now: those stored, then those deleted (`deleted` tells them apart)."""
        return self._simulation.upstream.stored + self._simulation.upstream.deleted

    def fail(self, status: int, count: int | None = None) -> None:
        """Answer the next `count` calls of a broker with `status`, or all until `recover`."""
        self._simulation.switch.fail(of_status(status), count)

    def go_down(self, count: int | None = None) -> None:
        """Reset the connections of the next `count` calls of a broker, or of all until `recover`."""
        self._simulation.switch.fail(CONNECTION_LOST, count)

    def recover(self) -> None:
        """End what `fail` or `go_down` began."""
        self._simulation.switch.clear()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end; raises RuntimeError while it does not."""
        if self._runner is None:
            raise RuntimeError("the simulator is not started")
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, on a free port unless one is given."""
        server = web.Server(self._respond, handler_cancellation=True, access_log=None)
        # Calls that are asleep in a slow scenario are not waited for.
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
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

    async def _respond(self, received: web.BaseRequest) -> web.StreamResponse:
        request = await self._request(received)
        answer = self._simulation.answer(request)
        if answer.delay_s:
            await self._sleep(answer.delay_s)
        if answer.lost and received.transport is not None:
            received.transport.abort()
        return _response(answer, request.request_id)

    async def _request(self, received: web.BaseRequest) -> Request:
        return Request(
            method=received.method,
            path=received.rel_url.raw_path,
            query=dict(received.rel_url.query),
            headers={name.lower(): value for name, value in received.headers.items()},
            body=await received.read(),
            request_id=self._identifiers.request_id(),
            remote=received.remote or "",
        )


def _response(answer: Answer, request_id: str) -> web.Response:
    headers = {**answer.headers, "apim-request-id": request_id}
    return web.Response(status=answer.status, body=answer.content or None, headers=headers)
