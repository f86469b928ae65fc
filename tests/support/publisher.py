"""The double of the publisher of events."""

from collections.abc import Mapping
from typing import Any

from shared.events.publisher import MemoryPublisher
from tests.support.intercepted import Call, Intercepted


class FakePublisher(Intercepted):
    """A publisher over one in memory, whose calls a test can watch, fail, lose and delay."""

    def __init__(self, over: MemoryPublisher | None = None) -> None:
        super().__init__()
        self.inner = over or MemoryPublisher()

    @property
    def events(self) -> list[Mapping[str, Any]]:
        return self.inner.events

    async def publish(self, event: Mapping[str, Any]) -> None:
        await self.intercept(Call("publish"), lambda: self.inner.publish(event))

    async def aclose(self) -> None:
        await self.inner.aclose()
