"""The port through which the broker sends HTTP requests: a request gets an answer, or raises `NoAnswer`."""

from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from shared.values import immutable


@immutable
class HttpAnswer:
    """The answer to a request, whatever its status. `body` may hold a token, so the repr omits it.

    `headers` finds a name in any case. `unread` is true, and `body` empty, where the body was too large, or compressed
    although that was ruled out: the status may say enough.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    unread: bool = False


class NoAnswer(Exception):
    """A request had no answer, or only a part of one. The text names the kind of failure, and never what was sent.

    `sent` is false where the request certainly never left. Everything else is ambiguous, also on a kept connection:
    the server may have closed it before or after reading the request.
    """

    def __init__(self, failure: str, *, sent: bool, timed_out: bool) -> None:
        super().__init__(failure)
        self.sent = sent
        self.timed_out = timed_out


class Http(Protocol):
    """Sends requests to one dependency. No redirects, no cookies, and no request is ever sent twice."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Send a request to a URL as it is, and read the answer; raises `NoAnswer`."""
        ...
