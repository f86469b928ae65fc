"""The paging parameters `start` and `top` of list and audit."""

from collections.abc import Mapping
from dataclasses import dataclass

from local.simulator import errors
from local.simulator.errors import Refused

LONGEST_START = 64
LARGEST_TOP = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """At most `top` entries, after the one whose id is `start`."""

    start: str
    top: int

    @property
    def start_number(self) -> int:
        """The start as the number of an audit entry, or raise Refused."""
        if not self.start:
            return 0
        if not _is_number(self.start):
            raise Refused(errors.INVALID_START)
        return int(self.start)


def read_page(query: Mapping[str, str]) -> Page:
    """Answer what the query asks for, or raise Refused."""
    start, top = query.get("start", ""), query.get("top", str(LARGEST_TOP))
    if len(start) > LONGEST_START:
        raise Refused(errors.INVALID_START)
    if not (_is_number(top) and 1 <= int(top) <= LARGEST_TOP):
        raise Refused(errors.INVALID_TOP)
    return Page(start, int(top))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_START
