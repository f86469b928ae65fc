"""What Face checks before it looks at a call: its own health, who calls, and the rate limit."""

import math

from aiohttp import web

from local.simulator.answers import Answer, ConnectionLost, Refused, rate_limited
from local.simulator.scenarios import Fault
from shared.clock import Clock


class Admission:
    """Admits the calls of one Face resource.

    `keys` are the valid subscription keys; `tps` limits the calls in a second (None: no limit).
    """

    def __init__(self, key: str, clock: Clock, tps: float | None) -> None:
        self.keys = {key}
        self._bucket = None if tps is None else TokenBucket(tps, clock)
        self._fault: Fault | None = None
        self._faults_left: int | None = None

    def fail(self, fault: Fault, count: int | None = None) -> None:
        """Give the next `count` calls of a broker a fault (None: all calls until `recover`)."""
        self._fault, self._faults_left = fault, count

    def recover(self) -> None:
        """End what `fail` began."""
        self._fault, self._faults_left = None, None

    def admit(self, request: web.Request, unauthorized: Answer) -> None:
        """Admit one call of a broker; raises `Refused` or `ConnectionLost`."""
        if fault := self._next_fault():
            if fault.answer is None:
                raise ConnectionLost
            raise Refused(fault.answer)
        if request.headers.get("Ocp-Apim-Subscription-Key") not in self.keys:
            raise Refused(unauthorized)
        self.charge(1)

    def charge(self, calls: int) -> None:
        """Count calls against the rate limit; raises `Refused` with the documented 429."""
        wait_s = self._bucket.take(calls) if self._bucket else 0.0
        if wait_s > 0:
            raise Refused(rate_limited(math.ceil(wait_s)))

    def _next_fault(self) -> Fault | None:
        fault = self._fault
        if self._faults_left is not None:
            self._faults_left -= 1
            if self._faults_left <= 0:
                self.recover()
        return fault


class TokenBucket:
    """Admits `rate` calls a second on average, and a burst of as many (but at least one).

    A phone's check costs several calls at once. It is admitted if one call would be, and may leave the bucket in
    debt.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._capacity = max(rate, 1.0)
        self._level = self._capacity
        self._clock = clock
        self._filled_ms = clock()

    def take(self, calls: int = 1) -> float:
        """Admit `calls` and answer 0, or answer the seconds until one would be admitted."""
        now_ms = self._clock()
        added = max(0, now_ms - self._filled_ms) / 1000 * self._rate
        self._level = min(self._capacity, self._level + added)
        self._filled_ms = now_ms
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= calls
        return 0.0
