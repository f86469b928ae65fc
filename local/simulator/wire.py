"""What a version of the Face API consists of on the wire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.simulator.create_request import Schema
from local.simulator.messages import Answer
from local.simulator.upstream import Attempt, NewSession, Session

FACE_RECTANGLE = {"top": 669, "left": 203, "width": 646, "height": 724}
"""Where a face was found; the same in all published examples."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The list and audit operations: how they show a session (at a time) and an attempt."""

    item: Callable[[Session, int], Mapping[str, object]]
    entry: Callable[[Session, Attempt], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Wire:
    """One version: where its sessions are, what it takes, and how it shows them.

    `read` turns the fields of a create request into what the upstream stores; `created` and `result` make the
    JSON of a session, the latter for a time in unix milliseconds; `listing` is None where the version has
    neither list nor audit.
    """

    root: str
    schema: Schema
    read: Callable[[Mapping[str, Any]], NewSession]
    created: Callable[[Session], Mapping[str, object]]
    result: Callable[[Session, int], Mapping[str, object]]
    deleted: Answer
    unauthorized: Answer
    listing: Listing | None = None
