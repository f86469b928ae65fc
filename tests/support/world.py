"""Instances of the broker, or of a part of it, in one process, on a stage, with all that they share behind it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from random import random
from typing import Any, Generic, TypeVar

from shared.app import App, build
from shared.events.publisher import MemoryPublisher
from shared.queues.port import MemoryQueue
from shared.settings import Settings
from shared.throttle.limiter import Limiter
from tests.support.broker import PEPPER, environment
from tests.support.fake_face import FakeFace
from tests.support.stage import ACTOR, Call, Instance, Process, Stage
from tests.support.time import FakeClock, VirtualLoop
from tests.support.watched_store import WatchedStore

T = TypeVar("T")
Part = TypeVar("Part")

TOKENS = "auth-token-"
"""How every token of the fake Face begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request on its way through an instance; its number is the `ACTOR` of its calls."""

    instance: Process
    number: int
    task: asyncio.Task[Any]


class StagedWorld(ABC, Generic[Part]):
    """Instances whose calls wait on a stage, and a clock; `requests` were sent and not taken back by `ended`."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = FakeClock()
        self.stage = Stage()
        self.requests: list[Request] = []
        self.instances: list[tuple[Process, Part]] = []
        self._sent = 0

    @abstractmethod
    def new_instance(self, place: int) -> tuple[Process, Part]:
        """Make an instance for a place."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run what waits for nobody on the stage."""
        return self.loop.run(coroutine)

    def send(self, place: int, ask: Callable[[Part], Coroutine[Any, Any, T]]) -> Request:
        """Have an instance begin with a request."""
        instance, part = self.instances[place]
        self._sent += 1
        request = Request(instance, self._sent, self.loop.start(_numbered(self._sent, ask(part))))
        self.requests.append(request)
        self.loop.settle()
        return request

    def ended(self) -> list[Request]:
        """Take the requests that have ended, one way or another."""
        ended = [request for request in self.requests if request.task.done()]
        self.requests = [request for request in self.requests if request not in ended]
        return ended

    def go_on(self, *calls: Call) -> None:
        """Let calls have their effects; or their answers, where they had these."""
        for call in calls:
            self.stage.go_on(call)
        self.loop.settle()

    def follow(self, call: Call, turns: int) -> None:
        """Let the request of a call go on, for so many turns at most."""
        following: Call | None = call
        for _ in range(turns):
            if following := next((one for one in self.stage.calls if one.actor == call.actor), None):
                self.go_on(following)

    def meet(self, name: str) -> None:
        """Let everything go on that does not wait for a call of this name to begin."""
        while others := [call for call in self.stage.calls if call.arrived or call.name != name]:
            self.go_on(*others)

    def finish(self) -> None:
        """Let everything go on to its end."""
        while self.stage.calls:
            self.go_on(*self.stage.calls)

    def fail(self, *calls: Call, late: bool = False) -> None:
        for call in calls:
            self.stage.fail(call, late=late)
        self.loop.settle()

    def arrive(self, index: int) -> None:
        self.run(self.stage.arrive(self.stage.late[index % len(self.stage.late)]))

    def crash(self, place: int, *, late: bool) -> None:
        """End an instance where it is, with all its requests, and start another in its place."""
        ended, _ = self.instances[place]
        self.stage.crash(ended, late=late)
        for request in self.requests:
            if request.instance is ended:
                request.task.cancel()
        self.instances[place] = self.new_instance(place)
        self.loop.settle()

    def hang_up(self, index: int) -> None:
        """Cancel a request, as the host does when its phone has gone."""
        self.requests[index % len(self.requests)].task.cancel()
        self.loop.settle()

    def close(self) -> None:
        for instance, _ in self.instances:
            instance.alive = False
        self.loop.close()


class World(StagedWorld[App]):
    """Two instances, and the store, queue, Face and publisher that they share.

    `secrets` must never be stored. `peppers` are those of each instance.
    """

    def __init__(
        self, secrets: Collection[str] = (), peppers: Sequence[str] = (PEPPER, PEPPER), **settings: str
    ) -> None:
        super().__init__()
        self.store = WatchedStore((*secrets, TOKENS))
        self.queue = MemoryQueue(self.clock)
        self.face = FakeFace()
        self.publisher = MemoryPublisher()
        self._settings = [
            Settings.from_mapping(environment("http://127.0.0.1:9", ID_PEPPER=one, **settings))
            for one in peppers
        ]
        self.instances = [self.new_instance(place) for place in range(2)]

    def undisturbed(self) -> App:
        """Make an instance that is not on the stage: what it calls happens at once."""
        return self._app(0, self)

    def new_instance(self, place: int) -> tuple[Process, App]:
        instance = Instance(self.stage, self.store, self.face, self.queue, self.publisher)
        app = self._app(place, instance)
        # On the stage, a call takes as long as the test lets it: no deadline is to fall in between.
        patient = Limiter(instance.store, self.clock, random=random, deadline=3_600)
        return instance, replace(app, limiter=patient)

    def _app(self, place: int, ports: "World | Instance") -> App:
        return build(
            self._settings[place],
            clock=self.clock,
            face=ports.face,
            store=ports.store,
            queue=ports.queue,
            publisher=ports.publisher,
        )


async def _numbered(number: int, request: Coroutine[Any, Any, T]) -> T:
    ACTOR.set(number)
    return await request
