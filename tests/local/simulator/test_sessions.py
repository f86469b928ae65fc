"""The sessions of Face against a simple model of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from local.simulator.answers import Refused
from local.simulator.scenarios import REALFACE
from local.simulator.sessions import REMEMBERED, SESSION_LIFE_MS, Session, Sessions
from tests.support.time import FakeClock

CALL = dict.fromkeys(("request_id", "client_request_id", "user_agent", "address"), "x")


@contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(Refused) as refusal:
        yield
    assert refusal.value.answer.status == status


@dataclass
class Model:
    """The model of one session."""

    created_ms: int
    lifetime_s: int
    started: bool = False
    attempts: int = 0
    deleted: bool = False

    def exists(self, now_ms: int) -> bool:
        return not self.deleted and now_ms < self.created_ms + SESSION_LIFE_MS

    def admits(self, now_ms: int) -> bool:
        return self.exists(now_ms) and now_ms < self.created_ms + self.lifetime_s * 1000


class SessionsMachine(RuleBasedStateMachine):
    """Creates, starts, tries, deletes, and lets time pass, in any order."""

    created: Bundle[Session] = Bundle("created")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sessions = Sessions(self.clock)
        self.models: dict[str, Model] = {}

    @rule(target=created, lifetime_s=st.sampled_from([60, 600, 86400]))
    def create(self, lifetime_s: int) -> Session:
        session = self.sessions.create(_order(lifetime_s))
        self.models[session.session_id] = Model(self.clock.now, lifetime_s)
        return session

    @rule(seconds=st.sampled_from([0.001, 59.999, 60, 600, 86400, 2 * 86400]))
    def advance_seconds(self, seconds: float) -> None:
        self.clock.advance_seconds(seconds)

    @rule(session=created)
    def start(self, session: Session) -> None:
        model = self.models[session.session_id]
        if model.admits(self.clock.now):
            self.sessions.start(self.sessions.find_by_token(session.auth_token))
            model.started = True
        else:
            with refused(401):
                self.sessions.find_by_token(session.auth_token)

    @rule(session=created)
    def attempt(self, session: Session) -> None:
        model = self.models[session.session_id]
        if model.exists(self.clock.now) and model.attempts == 3:
            with refused(403):
                self.sessions.attempt(session, REALFACE, **CALL)
        elif model.admits(self.clock.now):
            attempt = self.sessions.attempt(session, REALFACE, **CALL)
            model.attempts += 1
            assert attempt.attempt_id == model.attempts

    @rule(session=created)
    def delete(self, session: Session) -> None:
        model = self.models[session.session_id]
        if model.exists(self.clock.now):
            self.sessions.delete(self.sessions.find(session.session_id))
            model.deleted = True
        else:
            with refused(404):
                self.sessions.find(session.session_id)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        exist = {key: model for key, model in self.models.items() if model.exists(self.clock.now)}
        expected = {key: (model.attempts, _status(model)) for key, model in exist.items()}
        stored = {each.session_id: (len(each.attempts), each.status) for each in self.sessions.stored}
        assert stored == expected
        deleted = {session_id for session_id, model in self.models.items() if model.deleted}
        assert {each.session_id for each in self.sessions.deleted} == deleted


def _order(lifetime_s: int = 600) -> dict[str, int]:
    return {"authTokenTimeToLiveInSeconds": lifetime_s, "numberOfClientAttemptsAllowed": 3}


def _status(model: Model) -> str:
    if model.attempts:
        return "ResultAvailable"
    return "Started" if model.started else "NotStarted"


TestSessionsMachine = SessionsMachine.TestCase
TestSessionsMachine.settings = settings(max_examples=60, stateful_step_count=30)


def test_token_is_not_in_the_repr() -> None:
    """A failing test that prints a session does not print its token."""
    session = Sessions(FakeClock()).create(_order())
    assert session.auth_token not in repr(session)


def test_only_the_latest_deleted_sessions_are_remembered() -> None:
    """The memory of a simulator that stays up for days does not grow."""
    sessions = Sessions(FakeClock())
    ids = []
    for _ in range(REMEMBERED + 2):
        session = sessions.create(_order())
        sessions.delete(session)
        ids.append(session.session_id)

    assert REMEMBERED == 10_000
    assert [session.session_id for session in sessions.deleted] == ids[2:]
