"""The consumer that docs/events.md and docs/trust.md print, over a database of its own."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

_DOCS = Path(__file__).parents[2] / "docs"


def printed() -> dict[str, Any]:
    """The names that the Python of both pages defines."""
    pages = ((_DOCS / name).read_text(encoding="utf-8") for name in ("events.md", "trust.md"))
    blocks = re.findall(r"^```python\n(.*?)^```$", "".join(pages), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec("".join(blocks), names)  # noqa: S102 - our own pages.
    return names


class Orders:
    """Orders that wait for a check."""

    def __init__(self) -> None:
        names = printed()
        self._handle, self._name_session = names["handle"], names["name_session"]
        self.database = sqlite3.connect(":memory:")
        self.database.executescript(names["TABLES"])

    def expect(self, reference: str, person: str | None, session: str | None = None) -> None:
        """Add an order of a person; `session` is the id of a session that the server created for it."""
        row = (reference, person, session)
        self.database.execute("INSERT INTO orders (reference, person, session) VALUES (?, ?, ?)", row)
        self.database.commit()

    def name_session(self, reference: str, person: str, session: str) -> bool:
        """Let the phone of a person name its session; returns whether it may make the check."""
        return bool(self._name_session(self.database, reference, person, session))

    def handle(self, event: Mapping[str, Any]) -> bool:
        """Let the consumer take an event; returns whether it verified an order."""
        return bool(self._handle(self.database, event))

    def verified(self) -> list[str]:
        """The references of the orders that are verified."""
        return [
            reference for (reference,) in self.database.execute("SELECT reference FROM orders WHERE verified")
        ]


@pytest.fixture
def orders() -> Iterator[Orders]:
    """The consumer, with no order yet."""
    made = Orders()
    with closing(made.database):
        yield made
