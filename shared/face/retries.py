"""When a request to Face is sent again, and after how long; there is no other layer of retries."""

from dataclasses import dataclass

from shared.errors import UpstreamError, UpstreamSessionGone

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 2.0
_MAY_PASS = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, in seconds: all of it, and each of at most `tries` requests."""

    total: float
    per_try: float
    tries: int = 3


# A create that was given up cannot be tried again, so that all of its time is for the first answer.
CREATE_PATIENCE = Patience(total=8.0, per_try=8.0)
READ_PATIENCE = Patience(total=5.0, per_try=2.0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a try was no success, and the status and Face's id of its answer where there was one."""

    error: UpstreamError | UpstreamSessionGone
    status: int | None = None
    request_id: str | None = None


def next_wait(
    trouble: Trouble, *, attempt: int, repeatable: bool, patience: Patience, remaining: float, jitter: float
) -> float:
    """Answer how many seconds to wait before the try after `attempt` (from 1), or raise the trouble's error.

    `jitter` is a random number from 0 to 1. A wait is not begun where it leaves too little of the `remaining`
    seconds for a try: the caller is better off with the error, and its `retry_after`, at once.
    """
    error = trouble.error
    if isinstance(error, UpstreamSessionGone) or not _may_repeat(error, trouble.status, repeatable):
        raise error
    backoff = jitter * min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** (attempt - 1))
    wait = (error.retry_after or 0.0) + backoff
    if attempt >= patience.tries or wait + patience.per_try / 2 > remaining:
        raise error
    return wait


def _may_repeat(error: UpstreamError, status: int | None, repeatable: bool) -> bool:
    if repeatable:
        return status is None or status in _MAY_PASS
    return status == 429 or not error.request_sent
