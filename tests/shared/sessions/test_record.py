"""The rules by which a session record changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.sessions.record import EXPIRY_GRACE_MS, SessionRecord, Step, token_hash

SESSION_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"
NEW = SessionRecord(
    SESSION_ID, token_hash("token"), "device-hash", created_at=1_000, token_expires_at=601_000
)
DIGEST = "A" * 64

failures = st.builds(Failure, st.text(max_size=20), st.text(max_size=20))
available = st.builds(
    SessionResult,
    status=st.just(SessionStatus.RESULT_AVAILABLE),
    attempts=st.integers(1, 3),
    decision=st.sampled_from(LivenessDecision),
    digest=st.none() | st.just(DIGEST),
    request_id=st.none() | st.just("id"),
) | st.builds(
    SessionResult,
    status=st.just(SessionStatus.RESULT_AVAILABLE),
    attempts=st.integers(0, 3),
    failure=failures,
)
pending = st.builds(
    SessionResult,
    status=st.sampled_from([SessionStatus.NOT_STARTED, SessionStatus.STARTED, SessionStatus.EXPIRED]),
    attempts=st.integers(0, 3),
)
steps = st.lists(st.tuples(available | pending, st.integers(0, 2_000_000)), max_size=8)


@given(steps)
def test_decision_once_final_never_changes(results: list[tuple[SessionResult, int]]) -> None:
    """Whatever Face says later, the first final answer stands."""
    record, settled = NEW, None
    for result, now in results:
        record = record.with_result(result, now)
        if settled is not None:
            assert record == settled
        elif record.final:
            settled = record


@given(steps, st.none() | st.text(max_size=70))
def test_only_a_real_face_of_the_same_digest_passes(
    results: list[tuple[SessionResult, int]], sent: str | None
) -> None:
    """Nothing else than a settled `realface`, without a failure or a digest that differs, ever passes."""
    record = NEW
    for result, now in results:
        record = record.with_result(result, now)

    expected = (
        record.status is SessionStatus.RESULT_AVAILABLE
        and record.decision is LivenessDecision.REALFACE
        and record.failure is None
        and (sent is None or (record.digest is not None and sent.lower() == record.digest.lower()))
    )
    assert record.passed(sent) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, None),
        (DIGEST, True),
        (DIGEST.lower(), True),
        ("B" * 64, False),
        ("", False),
        (DIGEST[:-1], False),
    ],
)
def test_digest_is_compared_whole_and_without_case(sent: str | None, expected: bool | None) -> None:
    """A digest matches as a whole; hexadecimal digits have no case."""
    result = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, DIGEST)

    assert NEW.with_result(result, 2_000).matches_digest(sent) is expected


def test_digest_sent_and_none_known_does_not_pass() -> None:
    """A result without a digest cannot be the one that the phone saw."""
    record = NEW.with_result(
        SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE), 2_000
    )

    assert (record.matches_digest(DIGEST), record.passed(DIGEST), record.passed(None)) == (False, False, True)
    assert (record.matches_digest(""), record.passed("")) == (False, False)


@pytest.mark.parametrize(
    ("token", "principal", "expected"),
    [
        ("token", None, True),
        ("Token", None, False),
        ("", None, False),
        ("tokén", None, False),
        ("token", "p", False),
    ],
)
def test_session_is_held_by_its_token_and_principal(
    token: str, principal: str | None, expected: bool
) -> None:
    """Both have to be those of the create."""
    assert NEW.is_held_by(token, principal) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(SessionStatus.NOT_STARTED, SessionStatus.EXPIRED, id="never started"),
        pytest.param(SessionStatus.EXPIRED, SessionStatus.EXPIRED, id="said to be expired"),
        pytest.param(SessionStatus.STARTED, SessionStatus.STARTED, id="started: a result may be on its way"),
    ],
)
def test_unfinished_session_after_its_grace(status: SessionStatus, expected: SessionStatus) -> None:
    """What nobody can start any more is settled; what was started stays open: its result may still come."""
    now = NEW.token_expires_at + EXPIRY_GRACE_MS + 1

    record = NEW.with_result(SessionResult(status), now)

    assert record.status is expected


def test_session_within_its_grace_is_not_settled() -> None:
    """A check that began in the token's last moment may still bring its result."""
    record = NEW.with_result(SessionResult(SessionStatus.EXPIRED), NEW.token_expires_at + EXPIRY_GRACE_MS)

    assert not record.final


def test_started_session_does_not_go_back() -> None:
    """An upstream that answers from an older copy does not undo the start."""
    started = NEW.with_result(SessionResult(SessionStatus.STARTED, 1), 2_000)

    assert started.with_result(SessionResult(SessionStatus.NOT_STARTED), 3_000) == started


def test_history_tells_each_step_once() -> None:
    """Polls that bring nothing new leave no trace."""
    record = NEW.noted(Step.CREATED, 1_000)
    for now in (2_000, 3_000):
        record = record.with_result(SessionResult(SessionStatus.STARTED), now)
    record = record.with_result(
        SessionResult(SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("a", "b")), 4_000
    )

    assert record.history == ((1_000, Step.CREATED), (2_000, Step.STARTED), (4_000, Step.COMPLETED))
