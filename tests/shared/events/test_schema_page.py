"""The page about events: its samples, its example and its tables say what is so."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from collect_result.delays import DEADLINE, FORGOTTEN, OUTAGE_DEADLINE
from create_session.use_case import SWEEP_AFTER_SECONDS
from shared.events.cloud_event import COMPLETED, EXPIRED, event_id
from tests.shared.events.schemas import DIRECTORY, TYPES, schema_of, validator_of

Handler = Callable[[sqlite3.Connection, Mapping[str, Any]], bool]

ROOT = DIRECTORY.parents[1]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The blocks of a language in the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


SAMPLES: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]


def owned(event: Mapping[str, Any], **changed: object) -> dict[str, Any]:
    """A sample event whose session was created by anna."""
    return {**event, "data": {**event["data"], "principal": "anna", **changed}}


@pytest.fixture
def handle() -> Handler:
    """The page's own example of a consumer."""
    [source] = blocks("python")
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the page's example is what is tested.
    handler: Handler = names["handle"]
    return handler


@pytest.fixture
def orders() -> Iterator[sqlite3.Connection]:
    """A database with one order, of anna's."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE applied_events (id TEXT PRIMARY KEY)")
        connection.execute("CREATE TABLE orders (reference TEXT, person TEXT, verified INTEGER)")
        connection.execute("INSERT INTO orders VALUES ('order:4711', 'anna', 0)")
        connection.commit()
        yield connection


def test_samples_show_each_kind_of_end() -> None:
    """A pass, a failure, and a session without a result, as a consumer gets them, ids included."""
    kinds = [(sample["type"], sample["data"]["passed"]) for sample in SAMPLES]

    assert kinds == [(COMPLETED, True), (COMPLETED, False), (EXPIRED, False)]
    for sample in SAMPLES:
        validator_of(sample["type"]).validate(sample)
        assert sample["id"] == event_id(sample["subject"], sample["type"])


def test_table_of_fields_is_that_of_the_schemas() -> None:
    """Every field of `data` is explained, and no other."""
    table = PAGE.split("## The fields of `data`")[1].split("\n\n")[1]
    named = set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines())))

    assert all(named == set(schema_of(kind)["$defs"]["data"]["properties"]) for kind in TYPES)


def test_links_and_tests_that_the_page_names_exist() -> None:
    """Nothing leads nowhere."""
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", PAGE) if "://" not in link]
    files = re.findall(r"`((?:tests|infra)/[\w/.-]+)`", PAGE)
    tests = re.findall(r"`(test_\w+)`", PAGE)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert links
    assert all((ROOT / "docs" / link).exists() for link in links)
    assert files
    assert all((ROOT / file).exists() for file in files)
    assert all(f"def {name}(" in sources for name in tests)


def test_times_on_the_page_are_those_of_the_code() -> None:
    """When a session expires, and how long Face knows it."""
    assert (SWEEP_AFTER_SECONDS, DEADLINE, FORGOTTEN) == (125, 47 * 3_600, 48 * 3_600)
    assert OUTAGE_DEADLINE - DEADLINE == 50 * 60
    words = " ".join(PAGE.split())
    assert "two minutes and five seconds after the token's end" in words
    assert "47 hours after the create" in words
    assert "47 hours and 50 minutes after the create" in words
    assert "forgets a session 48 hours after its creation" in words


def test_example_applies_a_duplicate_once(handle: Handler, orders: sqlite3.Connection) -> None:
    """However often an event comes, it changes something once."""
    event = owned(SAMPLES[0])

    assert [handle(orders, event) for _ in range(3)] == [True, False, False]
    assert orders.execute("SELECT verified FROM orders").fetchone() == (1,)
    assert orders.execute("SELECT count(*) FROM applied_events").fetchone() == (1,)


def test_example_takes_a_pass_of_the_owner_alone(handle: Handler, orders: sqlite3.Connection) -> None:
    """Neither a pass of another or an unknown caller with the same reference, nor a failed check, verifies."""
    passed, failed = SAMPLES[0], SAMPLES[1]
    foreign = owned(passed, principal="mallory") | {"id": "another"}
    events = [passed, foreign, owned(failed, clientReference=passed["data"]["clientReference"])]

    assert [handle(orders, event) for event in events] == [False, False, False]
    assert orders.execute("SELECT verified FROM orders").fetchone() == (0,)


def test_example_takes_a_reference_of_nobody_where_callers_are_not_authenticated(
    handle: Handler, orders: sqlite3.Connection
) -> None:
    """`principal` is null then, on both sides."""
    orders.execute("UPDATE orders SET person = NULL")

    assert handle(orders, SAMPLES[0]) is True
    assert handle(orders, owned(SAMPLES[0]) | {"id": "another"}) is False


def test_example_that_fails_leaves_the_event_for_the_next_delivery(
    handle: Handler, orders: sqlite3.Connection
) -> None:
    """Id and change are one transaction: an event that could not be applied does not count as a duplicate."""
    event = owned(SAMPLES[0])
    orders.execute("ALTER TABLE orders RENAME TO orders_elsewhere")
    with pytest.raises(sqlite3.OperationalError):
        handle(orders, event)
    orders.execute("ALTER TABLE orders_elsewhere RENAME TO orders")

    assert handle(orders, event) is True
