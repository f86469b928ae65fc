"""The message that asks `collect_result` to collect a session's result; it holds no secret."""

import json
import re
from dataclasses import fields, replace
from enum import StrEnum
from hashlib import sha256

from shared.text import parse_json, parse_session_id
from shared.values import immutable

_REASON = re.compile("[A-Za-z]{1,32}")


class Reason(StrEnum):
    """Why a result is to be collected."""

    SWEEP = "sweep"
    """The session's token has expired, so the result is final now."""
    POLL = "poll"
    """A phone's poll found the result."""
    REPLAY = "replay"
    """An operator sent the message again after it failed too often, or was lost."""


@immutable
class CollectMessage:
    """Asks for the result of one session. `reason` may be one that only another release knows.

    `attempt` counts the failures since the last success, `looks` how often there was no result yet.

    `traceparent` (W3C) is that of the request that created the session.
    """

    session_id: str
    reason: str
    attempt: int = 0
    traceparent: str | None = None
    looks: int = 0

    @property
    def message_id(self) -> str:
        """The id of this message in logs and in `python -m ops poison`."""
        return id_of_text(self.to_text())

    def after_failure(self) -> "CollectMessage":
        """The message for the next try."""
        return replace(self, attempt=self.attempt + 1)

    def after_look(self) -> "CollectMessage":
        """The message for the next look; failures before it no longer count."""
        return replace(self, attempt=0, looks=self.looks + 1)

    def to_text(self) -> str:
        """Write it as JSON."""
        # Not by `asdict`, which copies deeply: every create sends a message.
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_text(cls, text: str) -> "CollectMessage":
        """Read it; raises `ValueError`, saying what is wrong, for a message that cannot be handled."""
        content = parse_json(text.encode("utf-8", "replace"))
        if not isinstance(content, dict):
            raise ValueError("the message is not an object")
        session_id = parse_session_id(str(content.get("session_id")))
        if session_id is None:
            raise ValueError("the message names no session")
        attempt, looks = content.get("attempt", 0), content.get("looks", 0)
        traceparent = content.get("traceparent")
        # The exact type, because a bool is an `int` too.
        counts = all(type(count) is int and count >= 0 for count in (attempt, looks))
        if not (counts and isinstance(traceparent, str | None)):
            raise ValueError("the message has a field of another type")
        # Without the value, because the text ends up in the log.
        reason = content.get("reason")
        if not (isinstance(reason, str) and _REASON.fullmatch(reason)):
            raise ValueError("the message has no reason")
        return cls(session_id, reason, attempt, traceparent, looks)


def id_of_text(text: str) -> str:
    """The id of a message: 16 hex digits of the SHA-256 of its text.

    Not the id that the queue gives: the host gives a message another one when it moves it to the poison queue.
    """
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
