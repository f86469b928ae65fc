"""All fuzzers."""

from typing import Final

from tests.fuzz import callers, faces, stored
from tests.fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (*callers.TARGETS, *faces.TARGETS, *stored.TARGETS)
}
