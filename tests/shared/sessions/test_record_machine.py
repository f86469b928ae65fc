"""The record of one session under polls, revocations and collections that race, crash and lose their answers."""

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from collect_result.delays import DEADLINE, FORGOTTEN
from collect_result.use_case import collect_result
from create_session.use_case import CreateCommand, Created, create_session
from get_result.use_case import ResultQuery, ResultState, get_result
from revoke_session.use_case import revoke_session
from shared.access import Caller
from shared.app import App
from shared.errors import SessionNotFound, StorageUnavailable, UpstreamError, UpstreamFailure
from shared.face.model import LivenessDecision, LivenessMode, SessionResult, SessionSpec, SessionStatus
from shared.queues.message import CollectMessage, Reason
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord
from shared.storage.port import Table, Value
from tests.collect_result.workshop import MASKED, MASKED_AFTER_SPOOF, REAL, SPOOF, STARTED
from tests.create_session.world import Request, World
from tests.support.form import FORM
from tests.support.stage import Call
from tests.support.staged_machine import PLACE, StagedMachine

Kind = Literal["poll", "poll with digest", "poll with other digest", "revoke", "collect"]
Row = Mapping[str, Value]
T = TypeVar("T")

DIGESTS: Mapping[Kind, str | None] = {
    "poll": None,
    "poll with digest": "A" * 64,
    "poll with other digest": "0" * 64,
}
KINDS: st.SearchStrategy[Kind] = st.sampled_from([*DIGESTS, "revoke", "collect"])

EXPECTED: Mapping[Kind, tuple[type[Exception], ...]] = {
    **dict.fromkeys(DIGESTS, (StorageUnavailable, UpstreamError)),
    "revoke": (StorageUnavailable, UpstreamError),
    "collect": (StorageUnavailable,),
}
OUTCOME = ("status", "decision", "digest", "attempts", "failure_code", "completed_at", "upstream_request_id")
FOR_GOOD = ("token_hash", "device", "created_at", "token_expires_at", "published_at", "digest_matches")
FINAL = (SessionStatus.RESULT_AVAILABLE, SessionStatus.EXPIRED)
MARKED_BY: Mapping[str, Callable[[Row], bool]] = {
    "completed": lambda row: row["status"] == SessionStatus.RESULT_AVAILABLE,
    "expired": lambda row: row["status"] == SessionStatus.EXPIRED,
    "revoked": lambda row: row["revoked"] is True,
    "published": lambda row: "published_at" in row,
    "deletedUpstream": lambda row: row["deleted_upstream"] is True,
}
DEVICE = "phone-of-anna"
COMMAND = CreateCommand(
    SessionSpec(LivenessMode.PASSIVE, DEVICE, 600), DEVICE, None, Caller(), None, "", "a-request"
)
RESULTS = (SessionResult(SessionStatus.NOT_STARTED), STARTED, REAL, SPOOF, MASKED, MASKED_AFTER_SPOOF)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request under way; `version` is that of the record when it began."""

    kind: Kind
    version: int


class RecordMachine(StagedMachine):
    """Polls, revocations and collections of one session on two instances, and a Face that may change its mind.

    What holds, whatever crashes, fails, comes late, or is slow for however long:

    - There is at most one decision ever: in the record, in what phones are told, and in the event.
    - A record that is final keeps its outcome; one that was revoked before does not expire.
    - A poll is answered with what the record held at some time while it was under way, and not with `revoked`.
    - The event is published in the same words each time, under one id; and only after its outcome is written.
    - The first digest that is compared counts for good, in the event too.
    - History only grows; each step is there once, and is there exactly where the record says the same.
    - A check that did not pass is charged to its device once.
    - Who goes undisturbed gets there, whatever the others left behind.
    """

    @initialize(result=st.sampled_from(["1/s", "off"]), delete=st.sampled_from(["true", "false"]))
    def a_session_is_created(self, result: str, delete: str) -> None:
        self.world = World((DEVICE,), THROTTLE_RESULT=result, DELETE_AFTER_RESULT=delete)
        self.deletes = delete == "true"
        self.session: Created = self.undisturbed(lambda app: create_session(app, COMMAND))
        self.sent: dict[Request, Sent] = {}
        self.told: set[LivenessDecision] = set()
        self.forgotten = False

    @property
    def versions(self) -> list[Row]:
        """What the record held, oldest first."""
        return self.world.store.versions[Table.SESSIONS, self.session.session_id]

    @property
    def row(self) -> Row:
        """What the record holds."""
        return self.versions[-1]

    def ask(self, kind: Kind) -> Callable[[App], Coroutine[Any, Any, ResultState | None]]:
        """What a phone asks for, or what a message makes an instance do."""
        session_id, token = self.session.session_id, self.session.auth_token
        query = ResultQuery(session_id, token, Caller(), "a-request", DIGESTS.get(kind))
        message = CollectMessage(session_id, Reason.SWEEP)
        asked: Mapping[Kind, Callable[[App], Coroutine[Any, Any, ResultState | None]]] = {
            **dict.fromkeys(DIGESTS, lambda app: get_result(app, query)),
            "revoke": lambda app: revoke_session(app, session_id, token, Caller(), "a-request"),
            "collect": lambda app: collect_result(app, message),
        }
        return asked[kind]

    def undisturbed(self, ask: Callable[[App], Coroutine[Any, Any, T]]) -> T:
        return self.world.run(ask(self.world.undisturbed()))

    def send(self, kind: Kind, place: int) -> None:
        version = len(self.versions) - 1
        self.sent[self.world.send(place, self.ask(kind))] = Sent(kind, version)

    @precondition(lambda self: len(self.sent) < 5)
    @rule(kind=KINDS, place=PLACE)
    def a_request_comes(self, kind: Kind, place: int) -> None:
        self.send(kind, place)

    @precondition(lambda self: len(self.sent) < 3)
    @rule(first=KINDS, second=KINDS)
    def a_concurrent_pair_comes(self, first: Kind, second: Kind) -> None:
        self.send(first, 0)
        self.send(second, 1)

    @precondition(lambda self: self.calls)
    @rule(name=st.sampled_from(["result", "replace sessions", "publish"]))
    def all_meet_before(self, name: str) -> None:
        self.world.meet(name)

    @precondition(lambda self: self.asking)
    @rule(results=st.permutations(RESULTS))
    def face_tells_everybody_something_else(self, results: list[SessionResult]) -> None:
        for call, result in zip(self.asking, results, strict=False):
            self.world.face.answer(self.session.session_id, result)
            self.world.go_on(call)

    @property
    def asking(self) -> list[Call]:
        """The questions to Face that have not arrived."""
        return [call for call in self.calls if call.name == "result" and not call.arrived]

    @precondition(lambda self: self.session.session_id not in self.world.face.deleted)
    @rule(result=st.sampled_from(RESULTS))
    def face_has_another_answer(self, result: SessionResult) -> None:
        self.world.face.answer(self.session.session_id, result)
        self.forgotten = False

    @rule()
    def face_forgets_the_session(self) -> None:
        self.forgotten = True
        self.world.face.forget(self.session.session_id)

    @rule(seconds=st.sampled_from([1, 60, 600, 121, 47 * 3600]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance_seconds(seconds)

    @rule(kind=st.sampled_from(list(DIGESTS)))
    def a_phone_polls_undisturbed(self, kind: Kind) -> None:
        version, revoked = len(self.versions) - 1, self.row["revoked"]
        try:
            self.note(self.undisturbed(self.ask(kind)), version)
        except SessionNotFound:
            assert revoked, "a session was not found that nobody had revoked"
        except UpstreamFailure:
            assert self.forgotten
            assert self.row["status"] not in FINAL
            assert self.world.clock() <= int(self.row["token_expires_at"]) + EXPIRY_GRACE_MS

    @rule()
    def a_phone_revokes_undisturbed(self) -> None:
        self.undisturbed(self.ask("revoke"))
        assert self.row["revoked"]
        assert self.row["deleted_upstream"]

    @rule()
    def a_message_is_taken_undisturbed(self) -> None:
        messages = len(self.world.queue.messages)
        self.undisturbed(self.ask("collect"))
        if self.row["status"] in FINAL:
            assert "published_at" in self.row
            assert self.world.publisher.events
        age = self.world.clock() - int(self.row["created_at"])
        if self.row["revoked"] or (self.deletes and self.row["status"] in FINAL):
            assert self.row["deleted_upstream"] or age >= FORGOTTEN * 1000
        unsettled = not self.row["revoked"] and self.row["status"] not in FINAL
        assert len(self.world.queue.messages) - messages == unsettled, (
            "it is looked at again until it is settled"
        )
        if age >= DEADLINE * 1000:
            assert not unsettled

    @invariant()
    def requests_end_as_they_may(self) -> None:
        for request in self.world.ended():
            sent = self.sent.pop(request)
            if not request.task.cancelled():
                self.judge(sent, request.task.exception(), request)

    def judge(self, sent: Sent, error: BaseException | None, request: Request) -> None:
        if error is None:
            if sent.kind == "revoke":
                assert self.row["revoked"], "a revocation was lost"
            self.note(request.task.result(), sent.version)
        elif isinstance(error, SessionNotFound):
            assert sent.kind in DIGESTS
            assert self.row["revoked"], "a session was not found that nobody had revoked"
        elif not isinstance(error, EXPECTED[sent.kind]):
            raise error

    def note(self, state: ResultState | None, version: int) -> None:
        """Take down what a phone was told, which the record held since it asked, and before it was revoked."""
        if state is not None:
            held = [row for row in self.versions[version:] if not row["revoked"]]
            assert any(shows(row, state.record) for row in held), "told what the record did not hold"
            if state.record.decision is not None:
                self.told.add(state.record.decision)

    @invariant()
    def the_record_only_moves_on(self) -> None:
        for before, after in pairwise(self.versions):
            assert history(after)[: len(history(before))] == history(before)
            assert all(before[name] == after[name] for name in FOR_GOOD if name in before)
            assert after["revoked"] or not before["revoked"]
            if before["status"] in FINAL:
                assert [before.get(name) for name in OUTCOME] == [after.get(name) for name in OUTCOME]
            elif before["revoked"]:
                assert after["status"] != SessionStatus.EXPIRED

    @invariant()
    def history_says_what_the_record_says(self) -> None:
        for row in self.versions:
            steps = [step for _, step in history(row)]
            assert len(set(steps)) == len(steps)
            assert {step for step, holds in MARKED_BY.items() if holds(row)} == set(steps) & MARKED_BY.keys()

    @invariant()
    def there_is_one_decision_and_one_event(self) -> None:
        written = {row["decision"] for row in self.versions if "decision" in row}
        assert len(written) <= 1
        assert self.told <= written
        events = self.world.publisher.events
        assert all(event == events[0] for event in events)
        if events:
            assert self.row["status"] in FINAL
            assert events[0]["data"]["livenessDecision"] == self.row.get("decision")
            assert events[0]["data"]["digestMatches"] == self.row.get("digest_matches")

    @invariant()
    def a_failure_is_charged_once_and_nothing_secret_written(self) -> None:
        charged = self.world.store.now(Table.THROTTLE, f"device-{self.row['device']}") or {}
        assert "." not in str(charged.get("failed", ""))
        assert self.world.store.leaks == []


def history(row: Row) -> list[tuple[int, str]]:
    """The steps of a record, with their times."""
    return [(at, step) for at, step in json.loads(str(row["history"]))]


def shows(row: Row, record: SessionRecord) -> bool:
    """Whether this is what the record held."""
    outcome = (record.status, record.decision, record.digest, record.attempts, record.completed_at)
    told = tuple(row.get(name) for name in ("status", "decision", "digest", "attempts", "completed_at"))
    return told == outcome and history(row) == list(record.history)


TestRecordMachine = RecordMachine.TestCase
TestRecordMachine.settings = FORM
