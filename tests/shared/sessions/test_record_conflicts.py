"""Writes of a session record that lose a race: they are made again over what the record is by then."""

import json
from collections.abc import Iterator

import pytest

from collect_result.use_case import collect_result
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.errors import SessionNotFound, StorageUnavailable
from shared.face.model import LivenessDecision, LivenessMode, SessionResult, SessionSpec, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.storage.port import Table
from tests.create_session.world import Request, World

COMMAND = CreateCommand(
    spec=SessionSpec(LivenessMode.PASSIVE, "a-phone", 600),
    device_id="a-phone",
    client_reference=None,
    caller=Caller(),
    idempotency_key=None,
    fingerprint="",
    request_id="a-request",
)
PASS = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, "digest")
TRIES = 5


class Race:
    """A session, and polls that write its record just before somebody else would."""

    def __init__(self) -> None:
        self.world = World()
        app = self.world.undisturbed()
        self.session: Created = self.world.run(create_session(app, COMMAND))

    @property
    def record(self) -> dict[str, object]:
        """What the record holds."""
        return dict(self.world.store.now(Table.SESSIONS, self.session.session_id) or {})

    @property
    def steps(self) -> list[str]:
        """What history says has happened."""
        return [step for _, step in json.loads(str(self.record["history"]))]

    def revoke(self) -> Request:
        session_id, token = self.session.session_id, self.session.auth_token
        return self.world.send(0, lambda app: revoke_session(app, session_id, token, Caller(), "a-request"))

    def collect(self) -> Request:
        """Begin to collect a result; the polls that come in between do not see it."""
        message = CollectMessage(self.session.session_id, Reason.SWEEP)
        request = self.world.send(0, lambda app: collect_result(app, message))
        self.run_until(request, "result")
        self.world.face.answer(self.session.session_id, PASS)
        self.world.go_on(*self.world.stage.calls)
        self.world.face.answer(self.session.session_id, SessionResult(SessionStatus.NOT_STARTED))
        return request

    def run_until(self, request: Request, name: str) -> None:
        while not request.task.done() and self.world.stage.calls[0].name != name:
            self.world.go_on(*self.world.stage.calls)

    def run_against(self, request: Request, conflicts: int) -> None:
        """Let a request go on, and lose so many races for the record."""
        for _ in range(conflicts):
            self.run_until(request, "replace sessions")
            self.poll()
            self.world.go_on(*self.world.stage.calls)
            self.world.go_on(*self.world.stage.calls)
        while not request.task.done():
            self.world.go_on(*self.world.stage.calls)

    def poll(self) -> None:
        """Write the record: a poll notes when it asked Face."""
        self.world.clock.advance_seconds(1)
        query = ResultQuery(self.session.session_id, self.session.auth_token, Caller(), "a-request")
        before = self.record.get("reads")
        self.world.run(get_result(self.world.undisturbed(), query))
        assert self.record["reads"] != before

    def close(self) -> None:
        self.world.close()


@pytest.fixture
def race() -> Iterator[Race]:
    """A session that others write."""
    race = Race()
    yield race
    race.close()


@pytest.mark.parametrize("conflicts", range(TRIES))
def test_revocation_that_loses_races_is_written_in_the_end(race: Race, conflicts: int) -> None:
    """What the polls wrote in between is still there."""
    request = race.revoke()
    race.run_against(request, conflicts)

    request.task.result()
    assert race.record["revoked"]
    assert race.steps == ["created", "revoked", "deletedUpstream"]
    assert ("reads" in race.record) == (conflicts > 0)


@pytest.mark.parametrize("conflicts", range(TRIES))
def test_result_that_loses_races_is_written_in_the_end(race: Race, conflicts: int) -> None:
    """It is written as Face gave it, and its event published."""
    request = race.collect()
    race.run_against(request, conflicts)

    request.task.result()
    assert race.record["decision"] == "realface"
    assert race.steps == ["created", "completed", "published", "deletedUpstream"]
    assert len(race.world.publisher.events) == 1


def test_revocation_that_loses_every_race_says_so(race: Race) -> None:
    """Nobody is told that a session is revoked which is not."""
    request = race.revoke()
    race.run_against(request, TRIES)

    assert isinstance(request.task.exception(), StorageUnavailable)
    assert not race.record["revoked"]
    assert race.world.face.deleted == []


def test_result_that_loses_every_race_is_collected_later(race: Race) -> None:
    """The message goes back to the queue, for its next attempt."""
    request = race.collect()
    race.run_against(request, TRIES)

    request.task.result()
    assert race.steps == ["created"]
    assert CollectMessage.from_text(race.world.queue.messages[-1].text).attempt == 1
    assert race.world.publisher.events == []


@pytest.mark.parametrize("rival", ["collector", "revocation"])
@pytest.mark.parametrize("asker", ["poll", "collector"])
def test_session_that_ends_while_face_is_asked_is_no_trouble(race: Race, asker: str, rival: str) -> None:
    """Face knows it no more by then: the record, read again, says what became of it."""
    session_id, token = race.session.session_id, race.session.auth_token
    query, message = (
        ResultQuery(session_id, token, Caller(), "a-request"),
        CollectMessage(session_id, Reason.SWEEP),
    )
    asking = race.world.send(
        0, lambda app: get_result(app, query) if asker == "poll" else collect_result(app, message)
    )
    race.run_until(asking, "result")
    race.world.face.answer(session_id, PASS)
    app = race.world.undisturbed()
    if rival == "collector":
        race.world.run(collect_result(app, message))
    else:
        race.world.run(revoke_session(app, session_id, token, Caller(), "a-request"))
    race.world.queue.messages.clear()
    while not asking.task.done():
        race.world.go_on(*race.world.stage.calls)

    if asker == "collector":
        assert asking.task.exception() is None
        assert race.world.queue.messages == []
    elif rival == "collector":
        assert asking.task.result().record.decision is LivenessDecision.REALFACE
    else:
        assert isinstance(asking.task.exception(), SessionNotFound)
    assert len(race.world.publisher.events) == (rival == "collector")
