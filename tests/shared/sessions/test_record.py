"""The rules by which a session record changes."""

from dataclasses import replace

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


@given(steps, st.none() | st.text(max_size=70) | st.sampled_from([DIGEST, DIGEST.lower(), ""]))
def test_final_result_never_changes_and_only_a_real_face_of_the_same_digest_passes(
    results: list[tuple[SessionResult, int]], sent: str | None
) -> None:
    """Whatever Face says later, the first final answer stands; nothing but a settled `realface` ever passes."""
    record, settled = NEW, None
    for result, now in results:
        record = record.with_result(result, now)
        settled = settled or (record if record.final else None)
        assert settled in (None, record)

    matches = sent is None or (record.digest is not None and sent.lower() == record.digest.lower())
    is_real = record.status is SessionStatus.RESULT_AVAILABLE and record.decision is LivenessDecision.REALFACE
    assert record.passed(sent) == (is_real and record.failure is None and matches)


@pytest.mark.parametrize(
    ("digest", "sent", "expected"),
    [
        (DIGEST, None, None),
        (DIGEST, DIGEST, True),
        (DIGEST, DIGEST.lower(), True),
        (DIGEST, "B" * 64, False),
        (DIGEST, "", False),
        (DIGEST, DIGEST[:-1], False),
        (None, DIGEST, False),
        (None, "", False),
        (None, None, None),
    ],
)
def test_digest_is_compared_whole_and_without_case(
    digest: str | None, sent: str | None, expected: bool | None
) -> None:
    """A result without a digest cannot be the one that the phone saw."""
    result = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest)

    assert NEW.with_result(result, 2_000).matches_digest(sent) is expected


@pytest.mark.parametrize(
    ("token", "owner", "caller", "expected"),
    [
        ("token", None, None, True),
        ("token", None, "p", True),
        ("token", "p", "p", True),
        ("token", "p", "q", False),
        ("token", "p", None, False),
        ("Token", "p", "p", False),
        ("Token", None, None, False),
        ("", None, None, False),
        ("tokén", None, None, False),
    ],
)
def test_session_is_held_by_its_token_and_its_caller(
    token: str, owner: str | None, caller: str | None, expected: bool
) -> None:
    """Both have to be those of the create; a session without a caller is from before callers had to sign in."""
    assert replace(NEW, caller=owner).is_held_by(token, caller) is expected


@pytest.mark.parametrize(
    ("status", "late", "expected"),
    [
        (SessionStatus.NOT_STARTED, 1, SessionStatus.EXPIRED),
        (SessionStatus.EXPIRED, 1, SessionStatus.EXPIRED),
        (SessionStatus.EXPIRED, 0, SessionStatus.NOT_STARTED),
        (SessionStatus.STARTED, 1, SessionStatus.STARTED),
    ],
)
def test_unfinished_session_after_its_grace(
    status: SessionStatus, late: int, expected: SessionStatus
) -> None:
    """What nobody can start any more is settled; what was started stays open: its result may still come."""
    now = NEW.token_expires_at + EXPIRY_GRACE_MS + late

    assert NEW.with_result(SessionResult(status), now).status is expected


def test_started_session_does_not_go_back() -> None:
    """An upstream that answers from an older copy does not undo the start."""
    started = NEW.with_result(SessionResult(SessionStatus.STARTED, 1), 2_000)

    assert started.with_result(SessionResult(SessionStatus.NOT_STARTED), 3_000) == started


@pytest.mark.parametrize("status", SessionStatus)
def test_decision_passes_only_as_a_result(status: SessionStatus) -> None:
    """A record of a session that has not ended, or has expired, is no pass, whatever decision it holds."""
    record = replace(NEW, status=status, decision=LivenessDecision.REALFACE)

    assert record.passed(None) is (status is SessionStatus.RESULT_AVAILABLE)


def test_history_tells_each_step_once() -> None:
    """Polls that bring nothing new leave no trace."""
    record = NEW.noted(Step.CREATED, 1_000)
    for now in (2_000, 3_000):
        record = record.with_result(SessionResult(SessionStatus.STARTED), now)
    record = record.with_result(
        SessionResult(SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("a", "b")), 4_000
    )

    assert record.history == ((1_000, Step.CREATED), (2_000, Step.STARTED), (4_000, Step.COMPLETED))
    assert [(entry.id, entry.failure) for entry in record.audit()] == [
        *[(1, None), (2, None)],
        (3, Failure("a", "b")),
    ]
