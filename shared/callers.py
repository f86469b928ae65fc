"""Who is calling, as far as that is known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """`principal` is the authenticated caller; `network` the address that limits count by; None where unknown."""

    principal: str | None = None
    network: str | None = None
