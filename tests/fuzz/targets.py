"""All fuzzers: each of these modules adds its own."""

from tests.fuzz import callers, faces, stored
from tests.fuzz.target import TARGETS

__all__ = ["TARGETS", "callers", "faces", "stored"]
