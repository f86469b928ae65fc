"""The message that asks for a session's result to be collected; there is nothing secret in it."""

import json
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from shared.face.model import parse_session_id
from shared.text import parse_json


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
    """`attempt` counts the failures since something went well, `looks` how often there was no result yet.

    `traceparent` ties it to the request that began it (W3C).
    """

    session_id: str
    reason: Reason
    attempt: int = 0
    traceparent: str | None = None
    looks: int = 0

    def after_failure(self) -> "CollectMessage":
        """The message for the next try."""
        return replace(self, attempt=self.attempt + 1)

    def after_look(self) -> "CollectMessage":
        """The message for the next look; what failed before counts no more."""
        return replace(self, attempt=0, looks=self.looks + 1)

    def to_text(self) -> str:
        """Write it as JSON."""
        # Not by `asdict`, which copies deeply: every create sends one.
        return json.dumps({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_text(cls, text: str) -> "CollectMessage":
        """Read it; raises `ValueError` with what is wrong, for a message that nobody can do anything with."""
        content = parse_json(text.encode("utf-8", "replace"))
        if not isinstance(content, dict):
            raise ValueError("the message is not an object")
        session_id = parse_session_id(str(content.get("session_id")))
        if session_id is None:
            raise ValueError("the message names no session")
        attempt, looks, traceparent = (
            content.get("attempt", 0),
            content.get("looks", 0),
            content.get("traceparent"),
        )
        if not (_is_count(attempt) and _is_count(looks) and isinstance(traceparent, str | None)):
            raise ValueError("the message has a field of another type")
        # Not with the value, which ends in the log.
        if content.get("reason") not in tuple(Reason):
            raise ValueError("the message has no reason that is known")
        return cls(session_id, Reason(content["reason"]), attempt, traceparent, looks)


def _is_count(value: object) -> bool:
    # Not `isinstance`: a truth value is an `int` as well.
    return type(value) is int and value >= 0
