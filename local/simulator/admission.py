"""What Face checks before it looks at a call: its own health, who calls, and the rate limit."""

import base64
import json
import math
from http import HTTPStatus

from aiohttp import web

from local.simulator.answers import Answer, ConnectionLost, Refused, rate_limited
from local.simulator.scenarios import Fault
from shared.text import Clock

# https://learn.microsoft.com/azure/ai-services/authentication
_AUDIENCES = ("https://cognitiveservices.azure.com", "https://cognitiveservices.azure.com/")


class Admission:
    """Admits the calls of one Face resource.

    `keys` are the valid subscription keys; `tps` limits the calls in a second (None: no limit). `throttled` counts the
    calls of brokers that got a 429 of the rate limit, or of a fault.
    """

    def __init__(self, key: str, clock: Clock, tps: float | None) -> None:
        self.keys = {key}
        self.throttled = 0
        self._clock = clock
        self._bucket = TokenBucket(tps or math.inf, clock)
        self._fault: Fault | None = None
        self._faulty_call: str | None = None
        self._faults_left = math.inf

    def fail(self, fault: Fault | None, count: int | None = None, call: str | None = None) -> None:
        """Give the next `count` calls of a broker a fault, or the next `count` of the operation `call`.

        Without a count it lasts; without a fault it ends.
        """
        self._fault = fault
        self._faulty_call = call
        self._faults_left = count or math.inf

    def admit(self, call: str, request: web.Request, unauthorized: Answer) -> None:
        """Admit one call of a broker, of the operation `call`; raises `Refused` or `ConnectionLost`."""
        try:
            self._admit(call, request, unauthorized)
        except Refused as refusal:
            self.throttled += refusal.answer.status == HTTPStatus.TOO_MANY_REQUESTS
            raise

    def charge(self, calls: int) -> None:
        """Count calls against the rate limit; raises `Refused` with the documented 429."""
        if (wait_s := self._bucket.take(calls)) > 0:
            raise Refused(rate_limited(math.ceil(wait_s)))

    def _admit(self, call: str, request: web.Request, unauthorized: Answer) -> None:
        if self._fault and self._faults_left > 0 and self._faulty_call in (None, call):
            self._faults_left -= 1
            if self._fault.answer is None:
                raise ConnectionLost
            raise Refused(self._fault.answer)
        has_key = request.headers.get("Ocp-Apim-Subscription-Key") in self.keys
        if not (has_key or self._is_entra_token(request.headers.get("Authorization", ""))):
            raise Refused(unauthorized)
        self.charge(1)

    def _is_entra_token(self, authorization: str) -> bool:
        """Return whether the header has a JSON web token for Face that is not expired. No signature is verified."""
        scheme, _, token = authorization.partition(" ")
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            is_valid = claims["aud"] in _AUDIENCES and claims["exp"] * 1000 > self._clock()
        except (IndexError, KeyError, TypeError, ValueError):
            return False
        return scheme.lower() == "bearer" and bool(is_valid)


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

    def take(self, calls: int) -> float:
        """Admit `calls` and answer 0, or answer the seconds until one would be admitted."""
        now_ms = self._clock()
        if now_ms > self._filled_ms:
            added = (now_ms - self._filled_ms) / 1000 * self._rate
            self._level = min(self._capacity, self._level + added)
        self._filled_ms = now_ms
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= calls
        return 0.0
