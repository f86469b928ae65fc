"""The sessions of Face against a simple model of them."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from local.simulator.answers import Refused
from local.simulator.scenarios import REALFACE
from local.simulator.sessions import SESSION_LIFE_MS, Order, PhoneCall, Session, Sessions, make_auth_token
from tests.local.simulator.client import START_MS
from tests.support.time import FakeClock

CALL = PhoneCall("request", "client-request", "phone/1", "127.0.0.1", START_MS)


class Model:
    """The model of one session."""

    def __init__(self, created_ms: int, lifetime_s: int) -> None:
        self.created_ms = created_ms
        self.lifetime_s = lifetime_s
        self.started = False
        self.attempts = 0
        self.deleted = False

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
        session = self.sessions.create(Order("v1.2", "device", lifetime_s=lifetime_s))
        self.models[session.session_id] = Model(self.clock.now, lifetime_s)
        return session

    @rule(seconds=st.sampled_from([0.001, 59.999, 60, 600, 86400, 2 * 86400]))
    def advance_seconds(self, seconds: float) -> None:
        self.clock.advance_seconds(seconds)

    @rule(session=created)
    def start(self, session: Session) -> None:
        model = self.models[session.session_id]
        if not model.admits(self.clock.now):
            self._refused(401, session)
            return
        self.sessions.start(self.sessions.find_by_token(session.auth_token))
        model.started = True

    @rule(session=created)
    def attempt(self, session: Session) -> None:
        model = self.models[session.session_id]
        if not model.admits(self.clock.now):
            self._refused(401, session)
        elif model.attempts == 3:
            with pytest.raises(Refused) as refused:
                self.sessions.attempt(self.sessions.find_by_token(session.auth_token), REALFACE, CALL)
            assert refused.value.answer.status == 403
        else:
            self.sessions.start(session)
            attempt = self.sessions.attempt(self.sessions.find_by_token(session.auth_token), REALFACE, CALL)
            model.started, model.attempts = True, model.attempts + 1
            assert attempt.attempt_id == model.attempts

    @rule(session=created)
    def delete(self, session: Session) -> None:
        model = self.models[session.session_id]
        if not model.exists(self.clock.now):
            with pytest.raises(Refused) as refused:
                self.sessions.find(session.session_id)
            assert refused.value.answer.status == 404
            return
        self.sessions.delete(self.sessions.find(session.session_id))
        model.deleted = True

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        now_ms = self.clock.now
        expected = {
            session_id: (model.attempts, _status(model))
            for session_id, model in self.models.items()
            if model.exists(now_ms)
        }
        stored = {each.session_id: (len(each.attempts), each.status) for each in self.sessions.stored}
        assert stored == expected
        deleted = {session_id for session_id, model in self.models.items() if model.deleted}
        assert {each.session_id for each in self.sessions.deleted} == deleted

    def _refused(self, status: int, session: Session) -> None:
        with pytest.raises(Refused) as refused:
            self.sessions.find_by_token(session.auth_token)
        assert refused.value.answer.status == status


def _status(model: Model) -> str:
    if model.attempts:
        return "ResultAvailable"
    return "Started" if model.started else "NotStarted"


TestSessionsMachine = SessionsMachine.TestCase
TestSessionsMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_deleted_sessions_are_remembered_up_to_a_number() -> None:
    """Long runs do not fill the memory with sessions that are gone."""
    sessions = Sessions(FakeClock(), deleted_remembered=2)
    created = [sessions.create(Order("v1.2", f"device-{number}")) for number in range(3)]
    for session in created:
        sessions.delete(session)
    assert [each.device_id for each in sessions.deleted] == ["device-1", "device-2"]
    assert sessions.stored == ()


def test_token_is_not_in_the_repr() -> None:
    """A failing test that prints a session does not print its token."""
    session = Sessions(FakeClock()).create(Order("v1.2", "device"))
    assert session.auth_token not in repr(session)


def test_tokens_look_like_the_published_one() -> None:
    """A token is long, of three parts, and begins like the published example."""
    token = make_auth_token()
    assert token.startswith("eyJhbGciOiJFUzI1NiIsIm")
    assert (token.count("."), len(token) > 200) == (2, True)
