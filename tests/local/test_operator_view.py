"""What an operator sees of a broker that runs here."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local.operator_view import OperatorsShell, OperatorView, RecentLog, where_to_look
from local.queues import MemorySource, MessageSource, message_source
from shared.errors import StorageUnavailable
from shared.face.budget import Budget
from shared.queues.message import CollectMessage, Reason
from shared.storage.port import Entity, Table
from shared.telemetry import log_event
from tests.support.broker import Broker, running_broker
from tests.support.store import FakeStore

CEILING = 1000
ROOT = Path(__file__).parents[2]
REFUSED = "UpstreamUnauthorized: Face answered 401"
OTHER_RESOURCE = "the settings name another Face resource than the one with the sessions"


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def broker(store: FakeStore) -> AsyncIterator[Broker]:
    async with running_broker(store=store) as broker:
        yield broker


@pytest.fixture
def log(broker: Broker) -> Iterator[RecentLog]:
    with RecentLog(broker.clock) as log:
        yield log


@pytest.fixture
def source(broker: Broker) -> MemorySource:
    source = message_source(broker.app)
    assert isinstance(source, MemorySource)
    return source


def view_of(broker: Broker, source: MessageSource, log: RecentLog) -> OperatorView:
    shell = OperatorsShell("", "ops")
    return OperatorView(broker.app, source, Budget(CEILING), log, deliveries=8, shell=shell)


@pytest.fixture
def view(broker: Broker, source: MemorySource, log: RecentLog) -> OperatorView:
    return view_of(broker, source, log)


async def test_quiet_broker(view: OperatorView) -> None:
    """Nothing waits, and nothing went wrong."""
    assert await view.status() == {
        "summary": {
            "text": "Readiness is not known. No session owes its event, and no message is poison.",
            "kind": "waiting",
        },
        "problem": None,
        "settings": "",
        "readiness": None,
        "queue": {"messages": 0, "oldestDue": None},
        "owed": {"count": 0, "sessions": [], "all": ["ops session find --owed"], "unread": None},
        "poison": {"count": 0, "deliveries": 8, "messages": [], "all": ["ops poison list --all"]},
        "devices": {"count": 0, "devices": [], "unread": None},
        "face": {"callsPerSecond": CEILING, "ceiling": CEILING, "refusingForSeconds": 0, "errors": {}},
        "refusals": {},
        "trouble": [],
    }


async def test_session_owes_its_event_from_the_end_of_its_token(
    broker: Broker, view: OperatorView, log: RecentLog
) -> None:
    """Until then it is only a message in the queue. A revoked session owes nothing."""
    session_id = (await broker.created(clientReference="order:1"))["sessionId"]
    await broker.revoke(await broker.created())
    before = await view.status()
    broker.clock.advance_seconds(601)
    after = await view.status()
    assert (before["queue"]["messages"], before["owed"]["count"], after["owed"]["count"]) == (2, 0, 1)
    [session] = after["owed"]["sessions"]
    assert session["advice"] == "Nothing: the broker looks again by itself."
    assert session["commands"] == [f"ops session show {session_id}"]
    assert (session["clientReference"], session["region"], len(session["device"])) == ("order:1", "local", 64)
    assert (session["nextLookDateTime"], session["trouble"]) == ("2027-01-15T08:12:00.000Z", None)

    broker.clock.advance_seconds(3600)
    [session] = (await view.status())["owed"]["sessions"]
    assert session["trouble"] == "the next look is overdue"
    assert session["advice"] == "Its message seems to be lost. Send a new one."
    assert session["commands"][1:] == [f"ops session collect {session_id}"]


async def test_oldest_ten_sessions_and_messages_are_shown(
    broker: Broker, source: MemorySource, view: OperatorView
) -> None:
    """The others are counted, and a command lists them."""
    ids = []
    for number in range(12):
        ids.append((await broker.created(f"device-{number}"))["sessionId"])
        broker.clock.advance_seconds(1)
        await source.poisoned.send(CollectMessage(ids[-1], Reason.SWEEP).to_text(), 0)
    broker.clock.advance_seconds(601)
    status = await view.status()
    assert [one["sessionId"] for one in status["owed"]["sessions"]] == ids[:10]
    assert [one["sessionId"] for one in status["poison"]["messages"]] == ids[:10]
    assert (status["owed"]["count"], status["poison"]["count"]) == (12, 12)


async def test_poison_message_says_why_and_what_mends_it(
    broker: Broker, source: MemorySource, view: OperatorView
) -> None:
    """The reason is in the record of its session; a message that cannot be used can only be dropped."""
    session_id = (await broker.created())["sessionId"]
    stored = await broker.app.sessions.get(session_id)
    assert stored
    await broker.app.sessions.change(stored, lambda record: record.with_next_look(None, REFUSED, 12))
    for text in (CollectMessage(session_id, Reason.SWEEP, 11).to_text(), "{}"):
        await source.poisoned.send(text, 0)
    broker.clock.advance_seconds(601)
    status = await view.status()
    usable, unusable = status["poison"]["messages"]
    assert (usable["sessionId"], usable["why"], usable["attempt"]) == (session_id, REFUSED, 11)
    assert usable["commands"] == [f"ops poison show {usable['id']}", f"ops poison replay {usable['id']}"]
    assert (unusable["text"], unusable["why"]) == ("{}", "the message names no session")
    assert unusable["commands"][1] == f"ops poison drop {unusable['id']}"
    assert (usable["advice"], unusable["advice"]) == (
        f"Fix the cause (see {where_to_look(REFUSED)}), then replay it.",
        "Drop it: it would fail again.",
    )
    assert usable["insertedOn"] == "2027-01-15T08:00:00.000Z"
    [session] = status["owed"]["sessions"]
    assert session["trouble"] == "the collector gave up"
    fix = f"Fix the cause (see {where_to_look(REFUSED)}), then replay the message."
    assert session["advice"] == f"Its message is poison. {fix}"
    assert session["commands"] == [f"ops session show {session_id}", usable["commands"][1]]


@pytest.mark.parametrize(
    ("fails", "owed", "poison", "kind", "text"),
    [
        (False, 0, 0, "good", "Ready. No session owes its event, and no message is poison."),
        (True, 0, 0, "bad", "Not ready: face fails."),
        (False, 2, 0, "warn", "2 sessions owe their event."),
        (True, 1, 1, "bad", "Not ready: face fails. 1 session owes its event. 1 message is poison."),
    ],
)
async def test_summary_says_what_is_wrong(
    broker: Broker,
    source: MemorySource,
    view: OperatorView,
    fails: bool,
    owed: int,
    poison: int,
    kind: str,
    text: str,
) -> None:
    """What keeps requests from an answer comes first."""
    for number in range(owed):
        await broker.created(f"device-{number}")
    for _ in range(poison):
        await source.poisoned.send("{}", 0)
    broker.clock.advance_seconds(601)
    if fails:
        broker.simulator.keys = {"another-key"}
    await view.readiness()
    assert (await view.status())["summary"] == {"text": text, "kind": kind}


async def test_readiness_is_not_shown_as_true_for_long(broker: Broker, view: OperatorView) -> None:
    """The page asks every 15 seconds while it is looked at; an answer from before says nothing of now."""
    checked = await view.readiness()
    shown = []
    for seconds in (60, 1):
        broker.clock.advance_seconds(seconds)
        shown.append((await view.status())["readiness"])
    assert shown == [checked, None]


async def test_own_checks_of_readiness_are_no_recent_errors(broker: Broker, view: OperatorView) -> None:
    """They are repeated, and would push everything else out of the list."""
    broker.simulator.fail(500)
    await view.readiness()
    status = await view.status()
    assert "face fails" in status["summary"]["text"]
    assert (status["trouble"], status["face"]["errors"]) == ([], {})


@pytest.mark.parametrize("mode", ["enforce", "observe"])
async def test_refused_devices_are_shown(mode: str) -> None:
    """Each has its pseudonym and the argument for `ops device`. Without refusals the list is empty."""
    async with running_broker(THROTTLE_MODE=mode, THROTTLE_DEVICE="2/10m,20/d") as broker:
        view = view_of(broker, message_source(broker.app), RecentLog(broker.clock))
        for device_id in ("refused", "refused", "another"):
            await broker.created(device_id)
        device = await broker.app.pseudonyms.of("device", "refused")
        refused, text = (await view.status())["devices"], (await view.status())["summary"]["text"]
        broker.clock.advance_seconds(601)
        later = (await view.status())["devices"]
    expected = {
        "device": device,
        "limit": "device 2/10m, 20/d",
        "until": "2027-01-15T08:10:00.000Z",
        "commands": [f"ops device show {device}", f"ops device reset {device}"],
    }
    none = {"count": 0, "devices": [], "unread": None}
    assert refused == ({"count": 1, "devices": [expected], "unread": None} if mode == "enforce" else none)
    assert text.endswith("1 device is refused now.") == (mode == "enforce")
    assert later == none


async def test_state_in_memory_has_no_commands(broker: Broker, source: MemorySource, log: RecentLog) -> None:
    """No other process can work on it."""
    await broker.created()
    await source.poisoned.send("{}", 0)
    broker.clock.advance_seconds(601)
    status = await OperatorView(broker.app, source, Budget(CEILING), log, deliveries=8).status()
    [session], [message] = status["owed"]["sessions"], status["poison"]["messages"]
    assert (status["settings"], session["commands"], message["commands"]) == (None, [], [])
    assert (status["owed"]["all"], status["poison"]["all"]) == ([], [])


async def test_row_that_cannot_be_read_hides_no_other(broker: Broker, view: OperatorView) -> None:
    """It is named beside the others."""
    now = broker.clock()
    await broker.created()
    await broker.app.store.insert(Table.SESSIONS, Entity("broken", {"created_at": now}, now + 1))
    broker.clock.advance_seconds(601)
    status = await view.status()
    assert (status["problem"], status["owed"]["count"]) == (None, 1)
    assert "session broken: a session record cannot be read" in status["owed"]["unread"]
    assert status["summary"]["text"].endswith("event. Not all records can be read.")


async def test_limits_that_cannot_be_read_hide_no_others(broker: Broker, view: OperatorView) -> None:
    """Storage does answer: only such a device gets no answer."""
    await broker.app.store.insert(
        Table.THROTTLE, Entity("device-broken", {"created": "?"}, broker.clock() + 1)
    )
    await view.readiness()
    status = await view.status()
    assert (status["problem"], status["devices"]["count"]) == (None, 0)
    assert status["devices"]["unread"] == "device-broken: a throttle row holds something that is not a log"
    assert status["summary"]["kind"] == "warn"
    assert status["summary"]["text"] == "Not all limits can be read."


async def test_storage_that_does_not_answer_is_the_problem(store: FakeStore, view: OperatorView) -> None:
    """The parts that need no storage are there."""
    store.fail("between", StorageUnavailable("down"))
    status = await view.status()
    assert (status["problem"], status["owed"], status["poison"]) == ("the sessions: down", None, None)
    assert status["summary"] == {"text": "Storage does not answer: the sessions: down.", "kind": "bad"}
    assert status["face"]["ceiling"] == CEILING


async def test_flood_of_refusals_is_counted_whole(log: RecentLog) -> None:
    """A line may stand for many requests."""
    endpoint = logging.getLogger("shared.web.endpoint")
    for times in (None, 40):
        log_event(endpoint, logging.INFO, "request_refused", code="DeviceThrottled", times=times)
    assert log.refusals == {"DeviceThrottled": 41}


async def test_refusals_are_counted_by_code(
    broker: Broker, view: OperatorView, caplog: pytest.LogCaptureFixture
) -> None:
    """They are information: no other log of a local run has them."""
    for _ in range(2):
        await broker.http.post("/api/sessions", json={})
    await broker.http.get("/api/health")
    status = await view.status()
    assert (status["refusals"], status["trouble"]) == ({"InvalidLivenessOperationMode": 2}, [])
    assert caplog.messages == []


async def test_dependency_that_fails_is_among_the_recent_errors(
    broker: Broker, view: OperatorView, caplog: pytest.LogCaptureFixture
) -> None:
    """With the broker's own time; the other logs have it as well."""
    broker.simulator.fail(500)
    await broker.create()
    status = await view.status()
    last = status["trouble"][-1]
    assert status["face"]["errors"] == {"UpstreamFailure": 1}
    assert (last["level"], last["fields"]["event"]) == ("WARNING", "dependency_failed")
    assert len(last["fields"]["requestId"]) == 36
    assert last["time"].startswith("2027-01-15T08:00:00")
    assert "dependency_failed" in caplog.text


async def test_readiness_names_what_does_not_answer(broker: Broker, view: OperatorView) -> None:
    """It is that of `GET /api/ready`."""
    broker.simulator.keys = {"another-key"}
    checked = await view.readiness()
    found = {each["name"]: each["problem"] for each in checked["dependencies"]}
    assert checked["dependencies"][0]["help"] == where_to_look(found["face"], "face")
    assert "UpstreamUnauthorized" in found.pop("face")
    assert found == dict.fromkeys(("storage", "queue", "secrets"))


@pytest.mark.parametrize(
    ("name", "problem", "row"),
    [
        ("face", "UpstreamFailure: no answer: ConnectionBroken", "Face"),
        ("face", "UpstreamUnauthorized: Face answered 401", "the Face key"),
        ("face", "UpstreamNotApproved", "the approval of the Face resource"),
        ("", "UpstreamFailure: Face does not know the session: is this", OTHER_RESOURCE),
        ("face", "KeyUnavailable: the managed identity endpoint answered 400", "the managed identity"),
        ("secrets", "KeyUnavailable", "Key Vault"),
        ("signIn", "KeyUnavailable: no answer", "an issuer of tokens (`AUTH_ISSUER`)"),
        ("storage", "StorageUnavailable: down", "Table Storage"),
        ("queue", "StorageUnavailable: down", "Queue Storage"),
        ("", "EventsUnavailable", "Event Grid"),
    ],
)
def test_each_problem_names_its_row_of_the_operators_page(name: str, problem: str, row: str) -> None:
    """The row is in the table of docs/operations.md, with what to do. A fault of the broker's own has none."""
    table = (ROOT / "docs/operations.md").read_text("utf-8").partition("## When something is down\n")[2]
    assert f"\n| {row} | " in table.partition("\n## ")[0]
    assert where_to_look(problem, name) == f'"{row}" under "When something is down" in docs/operations.md'
    assert where_to_look("InternalError") is None


async def test_lines_of_one_request_are_one_row(log: RecentLog) -> None:
    """The newest line is shown, with the earlier ones. Lines without a request stay apart."""
    root = logging.getLogger()
    for request, event in (
        ("r1", "face_called"),
        ("r2", "other"),
        ("r1", "face_called"),
        ("r1", "dependency_failed"),
    ):
        log_event(root, logging.WARNING, event, requestId=request, error="UpstreamFailure")
    for _ in range(2):
        root.warning("a line of a library")
    shown = [(one["fields"].get("event"), len(one["earlier"])) for one in log.trouble]
    assert shown == [("other", 0), ("dependency_failed", 2), (None, 0), (None, 0)]
    assert log.face_errors == {"UpstreamFailure": 2}


async def test_log_is_left_as_it_was(broker: Broker) -> None:
    """A run inside of another process changes none of its logs for good."""
    loggers = [logging.getLogger(), logging.getLogger("shared.web.endpoint")]
    before = [(logger.level, list(logger.handlers), list(logger.filters)) for logger in loggers]
    with RecentLog(broker.clock):
        pass
    assert [(logger.level, logger.handlers, logger.filters) for logger in loggers] == before
