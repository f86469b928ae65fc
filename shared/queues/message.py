"""The message that asks for a session's result to be collected; there is nothing secret in it."""

import json
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from shared import strict_json
from shared.face import session_ids


class Reason(StrEnum):
    """Why a result is to be collected."""

    SWEEP = "sweep"
    """The session's token has expired: whatever there is, is there now."""
    POLL = "poll"
    """A phone's poll found the result."""
    REPLAY = "replay"
    """An operator gave back what had failed too often, or was lost: whatever is left to do is done."""


@dataclass(frozen=True, slots=True)
class CollectMessage:
    """`attempt` counts how often this was put back; `traceparent` ties it to the request that began it (W3C)."""

    session_id: str
    reason: Reason
    attempt: int = 0
    traceparent: str | None = None

    def again(self) -> "CollectMessage":
        """The message for the next attempt."""
        return replace(self, attempt=self.attempt + 1)

    def to_text(self) -> str:
        """Write it as JSON."""
        # Not by `asdict`, which copies deeply: every create sends one.
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_text(cls, text: str) -> "CollectMessage":
        """Read it; raises `ValueError` with what is wrong, for a message that nobody can do anything with."""
        content = strict_json.parse(text.encode("utf-8", "replace"))
        if not isinstance(content, dict):
            raise ValueError("the message is not an object")
        session_id = session_ids.parse(str(content.get("session_id")))
        if session_id is None:
            raise ValueError("the message names no session")
        attempt, traceparent = content.get("attempt", 0), content.get("traceparent")
        if type(attempt) is not int or attempt < 0 or not isinstance(traceparent, str | None):
            raise ValueError("the message has a field of another type")
        # Not with the value, which ends in the log.
        if content.get("reason") not in tuple(Reason):
            raise ValueError("the message has no reason that is known")
        return cls(session_id, Reason(content["reason"]), attempt, traceparent)
