"""The page about events: its samples, its example and its tables say what is so."""

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest

from collect_result.delays import DEADLINE, FORGOTTEN, OUTAGE_DEADLINE
from create_session.use_case import SWEEP_AFTER_SECONDS
from shared.events.cloud_event import COMPLETED, ERASED, EXPIRED, event_id
from tests.shared.events.schemas import DIRECTORY, TYPES, schema_of, validator_of
from tests.support.consumer import Orders

ROOT = DIRECTORY.parents[1]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


SAMPLES: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]


def changed(event: Mapping[str, Any], **fields: object) -> dict[str, Any]:
    """A sample event with other data, under an id of its own."""
    return {**event, "id": str(fields), "data": {**event["data"], **fields}}


def test_samples_show_each_kind_of_end() -> None:
    """A pass, a failure, and a session without a result, as a consumer gets them, ids included."""
    kinds = [(sample["type"], sample["data"]["passed"]) for sample in SAMPLES]

    assert kinds == [(COMPLETED, True), (COMPLETED, False), (EXPIRED, False)]
    for sample in SAMPLES:
        validator_of(sample["type"]).validate(sample)
        assert sample["id"] == event_id(sample["subject"], sample["type"])


def test_table_of_fields_is_that_of_the_schemas() -> None:
    table = PAGE.split("## The fields of `data`")[1].split("\n\n")[1]
    named = set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines())))

    assert all(named == set(schema_of(kind)["$defs"]["data"]["properties"]) for kind in TYPES)


def test_files_and_tests_that_the_page_names_exist() -> None:
    files = re.findall(r"`((?:tests|infra)/[\w/.-]+)`", PAGE)
    tests = re.findall(r"`(test_\w+)`", PAGE)
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert files
    assert all((ROOT / file).exists() for file in files)
    assert all(f"def {name}(" in sources for name in tests)


def test_times_on_the_page_are_those_of_the_code() -> None:
    assert (SWEEP_AFTER_SECONDS, DEADLINE, FORGOTTEN) == (125, 47 * 3_600, 48 * 3_600)
    assert OUTAGE_DEADLINE - DEADLINE == 50 * 60
    words = " ".join(PAGE.split())
    assert "two minutes and five seconds after the token's end" in words
    assert "47 hours after the create" in words
    assert "47 hours and 50 minutes after the create" in words
    assert "forgets a session 48 hours after its creation" in words


@pytest.fixture
def waiting(orders: Orders) -> Orders:
    """With the order of the sample that passed."""
    data = SAMPLES[0]["data"]
    orders.expect(data["clientReference"], data["principal"], session="a-session-of-the-server")
    return orders


def test_example_applies_a_duplicate_once(waiting: Orders) -> None:
    assert [waiting.handle(SAMPLES[0]) for _ in range(3)] == [True, False, False]
    assert waiting.database.execute("SELECT verified FROM orders").fetchone() == (1,)
    assert waiting.database.execute("SELECT count(*) FROM applied_events").fetchone() == (1,)


def test_example_verifies_an_order_once(waiting: Orders) -> None:
    """The pass of another session of the same person for it is nothing new."""
    events = [changed(SAMPLES[0]), {**changed(SAMPLES[0], sessionId="another"), "id": "another"}]

    assert [waiting.handle(event) for event in events] == [True, False]


@pytest.mark.parametrize(
    ("fields", "verified"),
    [
        ({}, True),
        ({"passed": False}, False),
        ({"principal": "mallory"}, False),
        ({"principal": None}, False),
        ({"clientReferenceFrom": "caller"}, False),
        ({"clientReferenceFrom": None}, False),
        ({"clientReference": "order:1"}, False),
        ({"clientReference": "order:1", "sessionId": "a-session-of-the-server"}, False),
        ({"clientReference": None, "clientReferenceFrom": None}, False),
        ({"clientReferenceFrom": "caller", "sessionId": "a-session-of-the-server"}, True),
        ({"principal": "mallory", "sessionId": "a-session-of-the-server"}, False),
    ],
)
def test_example_takes_a_pass_of_the_person_for_the_transaction(
    waiting: Orders, fields: dict[str, object], verified: bool
) -> None:
    """It has to be a pass, of the right person, for a transaction that a token named or a session of the server."""
    assert waiting.handle(changed(SAMPLES[0], **fields)) is verified


@pytest.mark.parametrize("kind", [ERASED, EXPIRED, "liveness.session.new"])
def test_example_verifies_by_no_other_type(waiting: Orders, kind: str) -> None:
    """An erased session is forgotten; a type of a later broker is ignored, whatever it says."""
    event = changed(SAMPLES[0], sessionId="a-session-of-the-server")

    assert not waiting.handle({**event, "type": kind})
    sessions = [row for (row,) in waiting.database.execute("SELECT session FROM orders")]
    assert sessions == [None if kind == ERASED else "a-session-of-the-server"]


def test_example_takes_no_pass_of_nobody(orders: Orders) -> None:
    """Not even for an order without a person: where callers do not sign in, nobody can be told from another."""
    orders.expect("order:4711", None, session="s")

    assert not orders.handle(changed(SAMPLES[0], principal=None))
    assert not orders.handle(changed(SAMPLES[0], principal=None, sessionId="s"))


def test_example_has_one_order_for_a_transaction(waiting: Orders) -> None:
    """With two of them one pass would verify both."""
    with pytest.raises(sqlite3.IntegrityError):
        waiting.expect(SAMPLES[0]["data"]["clientReference"], "bert")


def test_example_that_fails_leaves_the_event_for_the_next_delivery(waiting: Orders) -> None:
    """Id and change are one transaction: an event that could not be applied does not count as a duplicate."""
    waiting.database.execute("ALTER TABLE orders RENAME TO orders_elsewhere")
    with pytest.raises(sqlite3.OperationalError):
        waiting.handle(SAMPLES[0])
    waiting.database.execute("ALTER TABLE orders_elsewhere RENAME TO orders")

    assert waiting.handle(SAMPLES[0]) is True
