"""What docs/disasters.md says of losses that can be played here; the tests that it names for the others exist."""

import re
from pathlib import Path

import pytest

from collect_result.use_case import MAX_FAILURES
from get_result.use_case import ResultQuery, get_result
from shared.app import build
from shared.errors import MessageGivenUp, SessionNotFound, StorageUnavailable
from shared.settings import Settings
from shared.storage.port import Table
from tests.collect_result.workshop import PHONE, REAL, TOKEN, Workshop
from tests.support.broker import environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/disasters.md").read_text("utf-8")


def with_pepper(workshop: Workshop, pepper: str) -> Workshop:
    """Start the app again with another pepper, over the same store, queue and Face."""
    workshop.app = build(
        Settings.from_mapping(environment("http://127.0.0.1:9", ID_PEPPER=pepper)),
        clock=workshop.clock,
        face=workshop.face,
        store=workshop.store,
        queue=workshop.queue,
        publisher=workshop.publisher,
    )
    return workshop


def asked(session_id: str, token: str = TOKEN) -> ResultQuery:
    return ResultQuery(session_id, token, PHONE, "a-request")


async def test_lost_pepper_ends_old_sessions_for_operators_and_new_ones_work() -> None:
    """No record from before is believed, its message goes to the operator, and the locked-out device is let in."""
    workshop = Workshop(THROTTLE_DEVICE="1/d")
    before = await workshop.created(REAL)
    workshop = with_pepper(workshop, "another-pepper")

    with pytest.raises(StorageUnavailable):
        await get_result(workshop.app, asked(before))
    with pytest.raises(MessageGivenUp):
        await workshop.collect(before, MAX_FAILURES - 1)
    after = await workshop.created(REAL)
    await workshop.collect(after)

    assert [event["subject"] for event in workshop.publisher.events] == [after]


async def test_pepper_that_comes_back_ends_all_sessions() -> None:
    """Operators store it behind the new one: the messages that they replay find the records as they were."""
    workshop = Workshop()
    before = await workshop.created(REAL)
    pepper = environment("http://127.0.0.1:9")["ID_PEPPER"]

    workshop = with_pepper(workshop, "another-pepper")
    with pytest.raises(MessageGivenUp):
        await workshop.collect(before, MAX_FAILURES - 1)
    after = await workshop.created(REAL)
    for session_id in (before, after):
        await with_pepper(workshop, f"another-pepper,{pepper}").collect(session_id)

    assert [event["subject"] for event in workshop.publisher.events] == [before, after]


async def test_lost_tables_and_messages_leave_a_broker_that_works() -> None:
    """Old sessions are unknown, and nothing but their events is lost with them."""
    workshop = Workshop(THROTTLE_DEVICE="1/d")
    before = await workshop.created(REAL)
    for table in Table:
        async for entity in workshop.store.inner.expired(table, 2**53):
            await workshop.store.inner.delete(table, entity.key)

    workshop = with_pepper(workshop, environment("http://127.0.0.1:9")["ID_PEPPER"])
    with pytest.raises(SessionNotFound):
        await get_result(workshop.app, asked(before))
    after = await workshop.created(REAL)
    await workshop.collect(after)

    assert [event["subject"] for event in workshop.publisher.events] == [after]


def test_page_has_all_lines_of_each_case_and_names_tests_that_exist() -> None:
    """A case may be without the line about tests alone."""
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert len(sections) >= 8
    for title, text in sections.items():
        lines = re.findall(r"^\| ([\w ]+) \| ", text, re.MULTILINE)
        assert [line for line in lines if line != "tried by"] == ["users see", "the system", "do", "lost"], (
            title
        )
    assert named
    assert named <= set(re.findall(r"def (test_\w+)\(", sources))
