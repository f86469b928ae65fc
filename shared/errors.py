"""Every failure that the broker knows, in one tree.

Failed                            a call that did not do what it was asked for
├── BrokerError                   the caller gets an answer with the error code `code`
│   ├── RequestRefused            the caller has to change something
│   │   ├── InvalidRequestBody, InvalidTokenLifetime, InvalidLivenessOperationMode,
│   │   │   InvalidDeviceCorrelationId, InvalidIdempotencyKey, InvalidStart, InvalidTop
│   │   ├── LengthRequired, RequestTooLarge, InvalidMediaType, MethodNotAllowed, RouteNotFound
│   │   ├── SessionNotFound       unknown, foreign, revoked and purged sessions alike
│   │   └── IdempotencyKeyReused
│   ├── ComeBackLater             the same call may succeed after `retry_after` seconds
│   │   ├── Throttled             a limit of the broker: DeviceThrottled, ClientThrottled
│   │   └── IdempotencyInProgress, StorageUnavailable, KeyUnavailable
│   ├── UpstreamError             Azure Face failed; never the phone's fault
│   │   └── UpstreamFailure, UpstreamUnauthorized, UpstreamThrottled, UpstreamQuotaExceeded, UpstreamTimeout
│   └── InternalError             a fault in the broker's own code
└── EventsUnavailable             an event could not be published; only the collector hears of it
Outcome                           an answer that the calling code expects and turns into something else
├── EntityExists, EntityChanged   a lost race for a stored entity
└── UpstreamSessionGone           Face has no such session (any more)
MessageGivenUp                    a message of the queue is left to the operator
SettingsError                     the app cannot start as it is configured
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class Failed(Exception):
    """A call that did not do what it was asked for.

    `detail` is for the operator's log: it names what is wrong, and never holds a value that a caller sent.
    `retry_after` is in how many seconds the same call may succeed, or None. `lasting` means that it cannot succeed
    before somebody mends something. `request_sent` is false only where nothing was sent to Azure Face, so that nothing
    was used up there. `upstream_request_id` is Face's `apim-request-id`, for a support case.
    """

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        lasting: bool = False,
        request_sent: bool = False,
        upstream_request_id: str | None = None,
    ) -> None:
        super().__init__(detail or type(self).__name__)
        self.detail = detail
        self.retry_after = retry_after
        self.lasting = lasting
        self.request_sent = request_sent
        self.upstream_request_id = upstream_request_id


class BrokerError(Failed):
    """A failure that ends in an answer to the caller; `code` is the error code of that answer."""

    code: ClassVar[str]


class RequestRefused(BrokerError):
    """The request cannot succeed as it is."""


class InvalidRequestBody(RequestRefused):
    """The body is not the JSON object that the operation takes."""

    code = "InvalidRequestBody"


class InvalidTokenLifetime(RequestRefused):
    """`authTokenTimeToLiveInSeconds` is outside of 60 to `maximum` seconds."""

    code = "InvalidTokenLifetime"

    def __init__(self, maximum: int) -> None:
        super().__init__()
        self.maximum = maximum


class InvalidLivenessOperationMode(RequestRefused):
    """`livenessOperationMode` is not one of the `modes` of the upstream version."""

    code = "InvalidLivenessOperationMode"

    def __init__(self, modes: Sequence[str]) -> None:
        super().__init__()
        self.modes = tuple(modes)


class InvalidDeviceCorrelationId(RequestRefused):
    """The device id is missing, empty, too long, or given where it must not be."""

    code = "InvalidDeviceCorrelationId"


class InvalidIdempotencyKey(RequestRefused):
    """The header `Idempotency-Key` is not 16 to 128 characters of `A-Za-z0-9_-`."""

    code = "InvalidIdempotencyKey"


class InvalidStart(RequestRefused):
    """The query's `start` is not the id of an entry."""

    code = "InvalidStart"


class InvalidTop(RequestRefused):
    """The query's `top` is not within 1 to 1000."""

    code = "InvalidTop"


class LengthRequired(RequestRefused):
    """A body was announced without its length: the platform hands such a body over as an empty one."""

    code = "LengthRequired"


class RequestTooLarge(RequestRefused):
    """The body is larger than any request of the contract."""

    code = "RequestTooLarge"


class InvalidMediaType(RequestRefused):
    """The body is not announced as plain `application/json`."""

    code = "BadArgument"


class MethodNotAllowed(RequestRefused):
    """The path exists, but not with this method; `allowed` are the ones that it has."""

    code = "MethodNotAllowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = tuple(allowed)


class RouteNotFound(RequestRefused):
    """There is nothing at this path."""

    code = "NotFound"


class SessionNotFound(RequestRefused):
    """There is no session that this caller may see under this id."""

    code = "SessionNotFound"


class IdempotencyKeyReused(RequestRefused):
    """The idempotency key was used before: for another request, or for a session that was revoked since."""

    code = "IdempotencyKeyReused"


class ComeBackLater(BrokerError):
    """The same request may succeed in `retry_after` seconds."""

    retry_after: float

    def __init__(
        self, detail: str = "", *, retry_after: float = 1.0, lasting: bool = False, request_sent: bool = False
    ) -> None:
        super().__init__(detail, retry_after=retry_after, lasting=lasting, request_sent=request_sent)


class Throttled(ComeBackLater):
    """A limit of the broker refused the request; `rate_limit` holds the RateLimit header fields to answer with."""

    def __init__(
        self, detail: str = "", *, retry_after: float = 1.0, rate_limit: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.rate_limit = dict(rate_limit or {})


class DeviceThrottled(Throttled):
    """The device has used up what one device may ask for."""

    code = "DeviceThrottled"


class ClientThrottled(Throttled):
    """The caller or its address has used up what it may ask for."""

    code = "ClientThrottled"


class IdempotencyInProgress(ComeBackLater):
    """The first request with this idempotency key has not ended yet."""

    code = "IdempotencyInProgress"


class StorageUnavailable(ComeBackLater):
    """The store did not answer in time, or not usably."""

    code = "StorageUnavailable"


class KeyUnavailable(ComeBackLater):
    """No secret or token could be read, and none is in memory.

    `request_sent` is true where Face refused an older one before.
    """

    code = "KeyUnavailable"


class EventsUnavailable(Failed):
    """The event was not certainly taken; only the collector hears of it."""

    retry_after: float

    def __init__(self, detail: str, *, retry_after: float = 1.0, lasting: bool = False) -> None:
        super().__init__(detail, retry_after=retry_after, lasting=lasting)


class MessageGivenUp(Exception):
    """A message that cannot succeed as things are: the host keeps it as poison, and the log says why."""


class UpstreamError(BrokerError):
    """Azure Face did not do what it was asked; `request_sent` is true unless the request provably never left."""

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        request_sent: bool = True,
        upstream_request_id: str | None = None,
    ) -> None:
        super().__init__(
            detail,
            retry_after=retry_after,
            request_sent=request_sent,
            upstream_request_id=upstream_request_id,
        )


class UpstreamFailure(UpstreamError):
    """Face could not be reached, failed, or answered something that is not in its contract."""

    code = "UpstreamFailure"


class UpstreamUnauthorized(UpstreamError):
    """Face refused the broker's own credential."""

    code = "UpstreamUnauthorized"


class UpstreamThrottled(UpstreamError):
    """Face, or the budget kept for it, has no room right now."""

    code = "UpstreamThrottled"


class UpstreamQuotaExceeded(UpstreamError):
    """The subscription's call volume is used up; that lasts for days."""

    code = "UpstreamQuotaExceeded"


class UpstreamTimeout(UpstreamError):
    """Face did not answer within the deadline of the call."""

    code = "UpstreamTimeout"


class InternalError(BrokerError):
    """A fault in the broker's own code; what it was is in the log, and never in an answer."""

    code = "InternalError"


class Outcome(Exception):
    """An answer that the caller of a port expects."""


class EntityExists(Outcome):
    """There is an entity under this key already."""


class EntityChanged(Outcome):
    """The entity is no longer what it was when it was read, or is gone."""


class UpstreamSessionGone(Outcome):
    """Face knows no such session: it expired, or was deleted."""


class SettingsError(Exception):
    """The app cannot start: one line for each setting that is wrong, naming it and never its value."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
