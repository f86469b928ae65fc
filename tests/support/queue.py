"""The double of the message queue."""

from typing import Generic, TypeVar

from shared.queues.port import MessageQueue
from tests.support.intercepted import Call, Intercepted

Inner = TypeVar("Inner", bound=MessageQueue)


class FakeQueue(Intercepted, Generic[Inner]):
    """A queue over another one, whose calls a test can watch, fail, lose and delay."""

    def __init__(self, over: Inner) -> None:
        super().__init__()
        self.inner = over

    async def send(self, text: str, delay_seconds: float, *, patient: bool = False) -> None:
        await self.intercept(
            Call("send", patient=patient), lambda: self.inner.send(text, delay_seconds, patient=patient)
        )

    async def check(self) -> None:
        await self.intercept(Call("check"), self.inner.check)

    async def aclose(self) -> None:
        await self.inner.aclose()
