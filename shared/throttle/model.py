"""What is limited, and what was charged: the values that go in and out of the limiter."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.errors import ClientThrottled, DeviceThrottled
from shared.throttle.policy import Policy

_NAME: Final = re.compile(r"[a-z]{1,32}")


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a subject, under a `name` for header fields and logs (`device`).

    `log` names the log in the subject's row that it counts in (`created`). A limit that is not `charged` is
    only looked at. Names are 1 to 32 letters a to z; raises `ValueError` for others.
    """

    name: str
    policy: Policy
    log: str
    charged: bool

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.name) and _NAME.fullmatch(self.log)):
            raise ValueError("expected a limit and its log to be named with 1 to 32 letters a to z")


@dataclass(frozen=True, slots=True)
class Subject:
    """An identity that a request counts against, with its limits; those that are off are left out.

    `key` is the key of its row, already a pseudonym (`device-<hex>`). `refusal` is what a request that is too
    much for one of the limits is answered with. Raises `ValueError` where two limits count in one log.
    """

    key: str
    limits: tuple[Limit, ...]
    refusal: type[DeviceThrottled] | type[ClientThrottled]

    def __post_init__(self) -> None:
        if len({limit.log for limit in self.limits}) != len(self.limits):
            raise ValueError("expected each limit of a subject to have a log of its own")
        if not all(limit.policy.windows for limit in self.limits):
            object.__setattr__(self, "limits", tuple(limit for limit in self.limits if limit.policy.windows))

    @property
    def published(self) -> tuple[Limit, ...]:
        """The limits that a caller is told about: the device's own, of what it asks for.

        Nothing of shared limits, and nothing of those only looked at: what is left of the failures that a
        device may have would tell it the decision of its check.
        """
        if self.refusal is not DeviceThrottled:
            return ()
        return tuple(limit for limit in self.limits if limit.charged)


@dataclass(frozen=True, slots=True)
class Charge:
    """One entry in a log of a row, stamped in unix milliseconds."""

    key: str
    log: str
    stamp: int


@dataclass(frozen=True, slots=True)
class Admission:
    """A request was admitted: what it was charged, and header fields that tell the device what is left."""

    charges: tuple[Charge, ...] = ()
    rate_limit: Mapping[str, str] = field(default_factory=dict)
