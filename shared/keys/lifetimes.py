"""How long a secret in memory stays good."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what is known stays good, in milliseconds.

    soft      a value this old is served, and refreshed in the background; spread by a tenth either way, so
              that the instances of an app do not all ask at once
    hard      a value this old is served no more
    retry     the pause after a refresh that failed, while there is a value to serve
    negative  the pause after a fetch that failed while there is none
    forced    the pause between two refreshes that refused values asked for
    """

    soft: int = 15 * 60_000
    hard: int = 24 * 60 * 60_000
    retry: int = 30_000
    negative: int = 5_000
    forced: int = 30_000
