"""The consumer that docs/events.md prints, over a database of its own."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

_PAGE = Path(__file__).parents[2] / "docs/events.md"


class Orders:
    """Orders that wait for a check."""

    def __init__(self) -> None:
        [source] = re.findall(
            r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        names: dict[str, Any] = {}
        exec(source, names)  # noqa: S102 - our own page.
        self._handle = names["handle"]
        self.database = sqlite3.connect(":memory:")
        self.database.executescript(names["TABLES"])

    def expect(self, reference: str, person: str | None, session: str | None = None) -> None:
        """Add an order of a person; `session` is the id of a session that the server created for it."""
        row = (reference, person, session)
        self.database.execute("INSERT INTO orders (reference, person, session) VALUES (?, ?, ?)", row)
        self.database.commit()

    def handle(self, event: Mapping[str, Any]) -> bool:
        """Let the consumer take an event; returns whether it verified an order."""
        return bool(self._handle(self.database, event))


@pytest.fixture
def orders() -> Iterator[Orders]:
    """The consumer, with no order yet."""
    made = Orders()
    with closing(made.database):
        yield made
