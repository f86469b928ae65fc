"""Every error of the broker, in one tree.

Failed                      a call that failed
├── BrokerError             the caller gets an answer with the error code `code`
│   ├── RequestRefused      the caller has to change something
│   ├── ComeBackLater       the same call may succeed after `retry_after` seconds
│   │   └── Throttled       a limit of the broker
│   ├── UpstreamError       Azure Face failed; never the phone's fault
│   └── InternalError       a fault in the broker's own code
└── EventsUnavailable       an event could not be published; only the collector sees it
Outcome                     an answer that the calling code expects and turns into something else
MessageGivenUp              a queue message that an operator has to look at
SettingsError               the app cannot start as it is configured
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NoReturn

WAITED_FOR_FACE = "waited for Face"
"""The note on a `CancelledError` that ended a call, so that the frame of a late request can name what was slow."""


class Failed(Exception):
    """A call that failed.

    `detail` is for the operator's log. It never holds a value that a caller sent. `retry_after` is the number of
    seconds after which the same call may succeed, or None. `lasting` means that it cannot succeed before an operator
    repairs something. `request_sent` is false only where nothing was sent to Azure Face, so that no quota was used.
    `upstream_request_id` is Face's `apim-request-id`, for a support case.
    """

    retry_after: float | None = None
    request_sent = False

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        lasting: bool = False,
        request_sent: bool | None = None,
        upstream_request_id: str | None = None,
    ) -> None:
        super().__init__(detail or type(self).__name__)
        self.detail = detail
        if retry_after is not None:
            self.retry_after = retry_after
        if request_sent is not None:
            self.request_sent = request_sent
        self.lasting = lasting
        self.upstream_request_id = upstream_request_id


class BrokerError(Failed):
    """An error that the caller is answered with; `code` is its error code, the name of the class if it sets none.

    `device` is the pseudonym of the device that asked, for the log.
    """

    code: ClassVar[str]
    device: str | None = None

    def __init_subclass__(cls) -> None:
        cls.code = cls.__dict__.get("code", cls.__name__)


class RequestRefused(BrokerError):
    """The request cannot succeed as it is.

    `target` names the field, header or parameter at fault, if it is one. With a target, `detail` goes to the caller
    too. `others` holds the further faults of the same request.
    """

    target: str | None = None

    def __init__(self, detail: str = "", *, target: str | None = None) -> None:
        super().__init__(detail)
        self.target = target or self.target
        self.others: tuple[RequestRefused, ...] = ()


def refuse(faults: Sequence[RequestRefused]) -> NoReturn:
    """Raise the first fault with the others attached."""
    first, *others = faults
    first.others = tuple(others)
    raise first


class InvalidRequestBody(RequestRefused):
    """The body is not the JSON object that the operation takes."""


class InvalidTokenLifetime(RequestRefused):
    """`authTokenTimeToLiveInSeconds` is outside of 60 to `maximum` seconds."""

    target = "authTokenTimeToLiveInSeconds"

    def __init__(self, maximum: int) -> None:
        super().__init__()
        self.maximum = maximum


class InvalidLivenessOperationMode(RequestRefused):
    """`livenessOperationMode` is not one of the modes of the upstream version; `choices` lists them, quoted."""

    target = "livenessOperationMode"

    def __init__(self, modes: Sequence[str]) -> None:
        super().__init__()
        self.choices = " or ".join(f"'{mode}'" for mode in modes)


class InvalidDeviceCorrelationId(RequestRefused):
    """The device id is missing, empty or too long."""

    target = "deviceCorrelationId"


class InvalidIdempotencyKey(RequestRefused):
    """The header `Idempotency-Key` is not 16 to 128 characters of `A-Za-z0-9_-`."""

    target = "Idempotency-Key"


class InvalidStart(RequestRefused):
    """The query parameter `start` is not the id of an entry."""

    target = "start"


class InvalidTop(RequestRefused):
    """The query parameter `top` is not within 1 to 1000."""

    target = "top"


class Unauthorized(RequestRefused):
    """No bearer token, or one that is not valid; `problem` is what the caller is told about its token, if it sent one.

    `charged_as_miss` is false where the token is genuine.
    """

    charged_as_miss = True

    def __init__(self, detail: str = "", *, problem: str | None = None) -> None:
        super().__init__(detail)
        self.problem = problem


class Forbidden(RequestRefused):
    """The caller lacks a right for this request; `target` is the field that needs it, if it is one."""


class LengthRequired(RequestRefused):
    """No length, and no body: the platform may deliver a body in chunks as an empty one."""


class RequestTooLarge(RequestRefused):
    """The body is larger than any request of the contract."""


class InvalidMediaType(RequestRefused):
    """The Content-Type is not `application/json`, or the body has a Content-Encoding."""

    code = "BadArgument"


class MethodNotAllowed(RequestRefused):
    """The path exists, but not with this method; `allowed` lists its methods."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = tuple(allowed)


class RouteNotFound(RequestRefused):
    """There is nothing at this path."""

    code = "NotFound"


class SessionNotFound(RequestRefused):
    """No session with this id is visible to the caller."""


class IdempotencyKeyReused(RequestRefused):
    """The idempotency key was used before: for another request, or for a session that was revoked since."""


class ComeBackLater(BrokerError):
    """The same request may succeed in `retry_after` seconds."""

    retry_after: float = 1.0


class Throttled(ComeBackLater):
    """A limit of the broker refused the request; `rate_limit` holds the RateLimit header fields to answer with."""

    def __init__(
        self, detail: str = "", *, retry_after: float = 1.0, rate_limit: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.rate_limit = dict(rate_limit or {})


class DeviceThrottled(Throttled):
    """The device reached a limit of its own."""


class ClientThrottled(Throttled):
    """The signed-in caller, the transaction or the address reached its limit."""


class IdempotencyInProgress(ComeBackLater):
    """The first request with this idempotency key has not ended yet."""


class StorageUnavailable(ComeBackLater):
    """The store did not answer in time, or not usably."""


class KeyUnavailable(ComeBackLater):
    """No secret, token or key of an issuer could be read, and none is in memory.

    `request_sent` is true where Face was called with an older one and refused it. `charged_as_miss` is true where a
    caller's token, which may be forged, fits no known key.
    """

    charged_as_miss = False


class EventsUnavailable(Failed):
    """The event may not have been published; only `collect_result` sees this error."""

    retry_after: float = 1.0


class MessageGivenUp(Exception):
    """A queue message cannot succeed; the host keeps it as poison, and the log says why."""


class UpstreamError(BrokerError):
    """Azure Face did not do what it was asked; `request_sent` is true unless the request provably never left."""

    request_sent = True


class UpstreamFailure(UpstreamError):
    """Face could not be reached, failed, or answered something that is not in its contract."""


class UpstreamUnauthorized(UpstreamError):
    """Face refused the broker's own credential."""


class UpstreamNotApproved(UpstreamError):
    """Microsoft has not approved the Face resource for liveness checks."""


class UpstreamThrottled(UpstreamError):
    """Face, or the broker's own rate limit for Face, has no room right now."""


class UpstreamQuotaExceeded(UpstreamError):
    """The call volume of the Face subscription is used up; this can last for days."""


class UpstreamTimeout(UpstreamError):
    """Face did not answer within the deadline of the call."""


class InternalError(BrokerError):
    """A fault in the broker's own code. The log says which; the answer never does."""


class Outcome(Exception):
    """An expected answer of a port, raised so that its caller cannot miss it."""


class EntityExists(Outcome):
    """An entity with this key exists already."""


class EntityChanged(Outcome):
    """The entity was changed or deleted since it was read.

    Of entities that were written together, `index` is the place of the first such one.
    """

    def __init__(self, index: int = 0) -> None:
        super().__init__()
        self.index = index


class UpstreamSessionGone(Outcome):
    """Face does not know the session: it expired, or was deleted."""


class SettingsError(Exception):
    """The app cannot start. `lines` has one line for each wrong setting, with its name and never its value."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
