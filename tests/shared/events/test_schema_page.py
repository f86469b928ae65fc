"""The page about events: its samples, its example and its tables say what is so."""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import pytest

from collect_result.delays import DEADLINE, FORGOTTEN, OUTAGE_DEADLINE
from create_session.use_case import SWEEP_AFTER_SECONDS
from shared.events.cloud_event import COMPLETED, EXPIRED, event_id
from shared.settings import Settings
from tests.shared.events.schemas import DIRECTORY, TYPES, schema_of, validator_of
from tests.support.broker import environment

ROOT = DIRECTORY.parents[1]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The blocks of a language in the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def samples() -> list[dict[str, Any]]:
    """The events that the page shows."""
    return [json.loads(block) for block in blocks("json")]


def handler() -> Callable[[sqlite3.Connection, Mapping[str, Any]], bool]:
    """The page's own example of a consumer."""
    [source] = blocks("python")
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the page's example is what is tested.
    handle: Callable[[sqlite3.Connection, Mapping[str, Any]], bool] = names["handle"]
    return handle


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample["data"]["clientReference"])
def test_sample_keeps_to_its_schema(sample: dict[str, Any]) -> None:
    """What the page shows is what a consumer gets, its id included."""
    validator_of(sample["type"]).validate(sample)

    assert sample["id"] == event_id(sample["subject"], sample["type"])


def test_samples_show_each_kind_of_end() -> None:
    """A pass, a failure, and a session without a result."""
    kinds = [(sample["type"], sample["data"]["passed"]) for sample in samples()]

    assert kinds == [(COMPLETED, True), (COMPLETED, False), (EXPIRED, False)]


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

    assert {f"events/{kind}.v1.schema.json" for kind in TYPES} <= set(links)
    assert all((ROOT / "docs" / link).exists() for link in links)
    assert files
    assert all((ROOT / file).exists() for file in files)
    assert tests
    assert all(f"def {name}(" in sources for name in tests)


def test_times_on_the_page_are_those_of_the_code() -> None:
    """When a session expires, how long Face knows it, and how long records are kept."""
    settings = Settings.from_mapping(environment("http://127.0.0.1:9"))

    assert (SWEEP_AFTER_SECONDS, DEADLINE, FORGOTTEN) == (125, 47 * 3_600, 48 * 3_600)
    assert OUTAGE_DEADLINE - DEADLINE == 50 * 60
    assert (settings.record_retention_days, str(settings.throttle_result)) == (30, "1/s")
    assert all(
        words in " ".join(PAGE.split())
        for words in (
            "two minutes and five seconds after the token's end",
            "47 hours after the create",
            "47 hours and 50 minutes after the create",
            "forgets a session 48 hours after its creation",
            "`RECORD_RETENTION_DAYS`, 30 by default",
            "`THROTTLE_RESULT` (`1/s` by default)",
        )
    )


def test_example_applies_a_duplicate_once() -> None:
    """However often an event comes, it changes something once."""
    handle, event = handler(), _owned(samples()[0])

    with closing(_orders()) as orders:
        outcomes = [handle(orders, event) for _ in range(5)]

        assert outcomes == [True, False, False, False, False]
        assert orders.execute("SELECT verified FROM orders").fetchone() == (1,)
        assert orders.execute("SELECT count(*) FROM applied_events").fetchone() == (1,)


def test_example_takes_a_reference_from_its_owner_alone() -> None:
    """A pass of somebody else, who has sent the same reference, verifies nothing; nor does a check that failed."""
    handle, passed, failed = handler(), samples()[0], _owned(samples()[1])
    foreign = _owned(passed) | {"id": "another"}
    foreign["data"] = foreign["data"] | {"principal": "mallory"}
    failed["data"] = failed["data"] | {"clientReference": passed["data"]["clientReference"]}

    with closing(_orders()) as orders:
        outcomes = [handle(orders, event) for event in (passed, foreign, failed)]

        assert outcomes == [False, False, False]
        assert orders.execute("SELECT verified FROM orders").fetchone() == (0,)


def test_example_takes_a_reference_of_nobody_where_callers_are_not_authenticated() -> None:
    """`principal` is null then, on both sides."""
    handle, passed = handler(), samples()[0]

    with closing(_orders(person=None)) as orders:
        assert passed["data"]["principal"] is None
        assert handle(orders, passed) is True
        assert handle(orders, _owned(passed) | {"id": "another"}) is False


def test_example_that_fails_leaves_the_event_for_the_next_delivery() -> None:
    """Id and change are one transaction: an event that could not be applied does not count as a duplicate."""
    handle, event = handler(), _owned(samples()[0])

    with closing(_orders()) as orders:
        orders.execute("ALTER TABLE orders RENAME TO orders_elsewhere")
        with pytest.raises(sqlite3.OperationalError):
            handle(orders, event)
        orders.execute("ALTER TABLE orders_elsewhere RENAME TO orders")

        assert handle(orders, event) is True


def _owned(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "data": {**event["data"], "principal": "anna"}}


def _orders(person: str | None = "anna") -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE applied_events (id TEXT PRIMARY KEY)")
    connection.execute("CREATE TABLE orders (reference TEXT, person TEXT, verified INTEGER)")
    connection.execute("INSERT INTO orders VALUES ('order:4711', ?, 0)", (person,))
    connection.commit()
    return connection
