"""The rules by which a session record changes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamFailure
from shared.face.model import Failure, LivenessDecision, SessionResult, SessionStatus
from shared.sessions.record import UNFINISHED, SessionRecord, Step, token_hash

SESSION_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"
NEW = SessionRecord(
    SESSION_ID, token_hash("token"), "device-hash", created_at=1_000, token_expires_at=601_000
)
REVOKED = NEW.as_revoked(1_500)
DIGEST = "A" * 64
END = NEW.token_expires_at + 120_000
REAL = SessionResult(
    SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, DIGEST, decisions=((1, "realface"),)
)
MASKED = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, failure=Failure("FaceWithMaskDetected", "A mask."))

KNOWN = [decision.value for decision in LivenessDecision]

failures = st.builds(Failure, st.text(max_size=20), st.text(max_size=20))
_MORE: dict[str, st.SearchStrategy[Any]] = {
    "attempts": st.integers(0, 3),
    "decisions": st.dictionaries(st.integers(1, 4), st.sampled_from([*KNOWN, "unknown"]), max_size=3).map(
        lambda decisions: tuple(sorted(decisions.items()))
    ),
    "abuse_detected": st.none() | st.booleans(),
    "flagged_sessions": st.sampled_from([(), (SESSION_ID,)]),
    "client_addresses": st.sampled_from([(), ("192.0.2.1",)]),
}
available = st.builds(
    SessionResult,
    status=st.just(SessionStatus.RESULT_AVAILABLE),
    decision=st.sampled_from(LivenessDecision),
    digest=st.none() | st.just(DIGEST),
    request_id=st.none() | st.just("id"),
    **_MORE,
).map(lambda result: replace(result, decisions=(*result.decisions, (5, str(result.decision))))) | st.builds(
    SessionResult,
    status=st.just(SessionStatus.RESULT_AVAILABLE),
    failure=failures,
    may_retry=st.booleans(),
    **_MORE,
)
pending = st.builds(
    SessionResult,
    status=st.sampled_from([SessionStatus.NOT_STARTED, SessionStatus.STARTED, SessionStatus.EXPIRED]),
    **_MORE,
)
moments = st.integers(1_000, 2_000_000)
steps = st.lists(st.tuples(available | pending, moments), max_size=8)
digests = st.text(max_size=70) | st.sampled_from([DIGEST, DIGEST.lower(), "B" * 64, ""])
# An answer of Face, a digest of the phone, and the two that end a session: the collector and a revocation.
happenings = st.lists(
    st.tuples(st.just("face"), st.tuples(available | pending, moments))
    | st.tuples(st.just("digest"), digests)
    | st.tuples(st.sampled_from(["settle", "revoke", "expire"]), moments),
    max_size=12,
)


def happened(record: SessionRecord, what: str, value: Any) -> SessionRecord:  # noqa: ANN401 - as drawn.
    """The record after one of `happenings`."""
    match what:
        case "face":
            return record.with_result(*value)
        case "digest":
            return record.with_digest(value)
        case "settle":
            return record.as_settled()
        case "revoke":
            return record.as_revoked(value)
    return record.expired(value)


def outcome(record: SessionRecord) -> tuple[object, ...]:
    """What never changes once the record is final."""
    fixed = (record.status, record.decision, record.digest, record.failure, record.completed_at)
    return (*fixed, record.attempts, record.decided, record.abuse_detected)


@given(happenings, st.booleans(), st.booleans())
def test_what_a_record_says_stands(
    happenings: list[tuple[str, Any]], digest_required: bool, abuse_is_failure: bool
) -> None:
    """Whatever comes later, in whatever order: the outcome stands, and so does the comparison of the digest.

    The first digest is compared. Attempts are only added, each with a time of its own. Abuse that was detected stays.
    A settled record passes or not for good.
    """
    record = replace(NEW, digest_required=digest_required, abuse_is_failure=abuse_is_failure)
    sent: str | None = None
    compared: bool | None = None
    for what, value in happenings:
        before, record = record, happened(record, what, value)
        is_open = before.decision is not None and not before.settled
        if what == "digest" and sent is None and (is_open or not before.closed):
            sent = value
        if compared is None and sent is not None and record.decision is not None:
            compared = record.digest is not None and sent.lower() == record.digest.lower()
        if before.final:
            assert outcome(record) == outcome(before)
        if before.settled:
            assert record.passed == before.passed
        assert record.revoked >= before.revoked
        assert record.decided[: len(before.decided)] == before.decided
        assert bool(record.abuse_detected) >= bool(before.abuse_detected)
    times = [at for at, _, _ in record.decided]

    assert record.digest_matches is compared
    assert times == sorted(set(times))


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
@pytest.mark.parametrize("later", [None, DIGEST, "B" * 64])
def test_first_digest_is_compared_whole_and_without_case(
    digest: str | None, sent: str | None, expected: bool | None, later: str | None
) -> None:
    """A result without a digest cannot be the one that the phone saw. Nothing that comes later counts."""
    result = SessionResult(SessionStatus.RESULT_AVAILABLE, 1, LivenessDecision.REALFACE, digest)
    record = NEW.with_result(result, 2_000).with_digest(sent).as_settled()

    assert record.digest_matches is expected
    assert record.with_digest(later) == record
    assert NEW.with_digest(sent).with_result(result, 2_000).digest_matches is expected


def test_no_more_is_kept_than_a_row_holds() -> None:
    """Fifty flagged sessions and addresses, however many Face names, and the begin of an error's text."""
    names = tuple(map(str, range(1_000)))
    record = NEW.with_result(replace(REAL, flagged_sessions=names, client_addresses=names), 2_000)

    assert (record.flagged_sessions, record.client_addresses) == (names[:50], names[:50])
    assert NEW.with_next_look(1, "x" * 300).last_error == "x" * 256


@pytest.mark.parametrize(
    ("status", "reads", "until"),
    [
        (SessionStatus.NOT_STARTED, (), 0),
        (SessionStatus.NOT_STARTED, (1_000, 11_009), 12_009),
        (SessionStatus.NOT_STARTED, (301_010,), 331_010),
        (SessionStatus.STARTED, (11_000,), 0),
    ],
)
def test_session_that_nobody_started_is_read_ever_more_slowly(
    status: SessionStatus, reads: tuple[int, ...], until: int
) -> None:
    """After a tenth of the age that it had at the last read, and after 30 s at most."""
    assert replace(NEW, status=status, reads=reads).idle_until == until


@pytest.mark.parametrize(
    ("required", "sent", "awaits"),
    [(False, None, False), (True, None, True), (True, DIGEST, False), (True, "another", False)],
)
def test_outcome_awaits_the_digest_that_is_required(required: bool, sent: str | None, awaits: bool) -> None:
    """Until one was compared, or the collector settles the outcome without it."""
    record = replace(NEW, digest_required=required).with_result(REAL, 2_000).with_digest(sent)

    assert (record.awaits_digest, record.as_settled().awaits_digest) == (awaits, False)
    # Its event waits no longer than the phone can send one.
    assert [record.waits_for_digest(now) for now in (END, END + 1)] == [awaits, False]
    assert not record.as_revoked(3_000).waits_for_digest(END)
    assert not replace(NEW, digest_required=required).with_result(MASKED, 2_000).awaits_digest


def test_digest_is_hidden_until_no_digest_of_the_phone_counts_any_more() -> None:
    """A caller that reads it before could send it in place of the phone."""
    record = replace(NEW, digest_required=True).with_result(REAL, 2_000)

    ended = (
        record.as_settled(),
        record.as_published(3_000),
        record.as_revoked(3_000),
        record.with_digest("B" * 64),
    )
    assert record.hides_digest
    assert not any(one.hides_digest for one in ended)
    assert not NEW.with_result(REAL, 2_000).hides_digest


@pytest.mark.parametrize(
    ("before", "shown", "now", "status"),
    [
        (NEW, replace(MASKED, may_retry=True), 2_000, SessionStatus.STARTED),
        (NEW, replace(MASKED, may_retry=True), END, SessionStatus.STARTED),
        (NEW, replace(MASKED, may_retry=True), END + 1, SessionStatus.RESULT_AVAILABLE),
        (NEW, MASKED, 2_000, SessionStatus.RESULT_AVAILABLE),
        (NEW, SessionResult(SessionStatus.NOT_STARTED), END + 1, SessionStatus.EXPIRED),
        (NEW, SessionResult(SessionStatus.EXPIRED), END + 1, SessionStatus.EXPIRED),
        (NEW, SessionResult(SessionStatus.EXPIRED), END, SessionStatus.NOT_STARTED),
        (NEW, SessionResult(SessionStatus.STARTED), END + 1, SessionStatus.STARTED),
        (REVOKED, replace(MASKED, may_retry=True), 2_000, SessionStatus.RESULT_AVAILABLE),
        (REVOKED, SessionResult(SessionStatus.STARTED), 2_000, SessionStatus.NOT_STARTED),
        (REVOKED, SessionResult(SessionStatus.NOT_STARTED), END + 1, SessionStatus.NOT_STARTED),
    ],
)
def test_session_is_open_while_a_result_may_still_come(
    before: SessionRecord, shown: SessionResult, now: int, status: SessionStatus
) -> None:
    """The phone may try again while its token lives and Face allows that. A check that was started may still end.

    A check that was made before the revocation counts.
    """
    record = before.with_result(shown, now)

    assert (record.status, record.failure) == (status, shown.failure)
    assert record.with_result(REAL, now + 1).passed is not record.final


@pytest.mark.parametrize("end", ["expire", "revoke"])
@pytest.mark.parametrize(
    ("shown", "failure"),
    [
        (replace(MASKED, may_retry=True), MASKED.failure),
        (SessionResult(SessionStatus.STARTED, 1, decisions=((1, "spoofface"),)), UNFINISHED),
        (SessionResult(SessionStatus.STARTED, 1, decisions=((1, "realface"),)), UNFINISHED),
        (SessionResult(SessionStatus.STARTED, 1), None),
        (SessionResult(SessionStatus.NOT_STARTED), None),
    ],
)
def test_session_that_ends_after_a_failed_attempt_has_it_as_its_result(
    shown: SessionResult, failure: Failure | None, end: str
) -> None:
    """Also where another one was running. A session that is revoked without any attempt has no result, and no event."""
    begun = NEW.with_result(shown, 2_000)
    if failure:
        begun = begun.with_result(SessionResult(SessionStatus.STARTED, 1), 3_000)
    record = happened(begun, end, 4_000)

    without = SessionStatus.EXPIRED if end == "expire" else begun.status
    expected = SessionStatus.RESULT_AVAILABLE if failure else without
    assert (record.status, record.failure, record.passed) == (expected, failure, False)
    assert record.owes_event is record.final


def test_each_attempt_that_decided_is_kept_under_a_time_of_its_own() -> None:
    """Also if it decides later than a newer one, and if they are read together or in the same millisecond."""
    spoofs = ((1, "spoofface"), (3, "spoofface"))
    record = NEW.with_result(replace(MASKED, may_retry=True, attempts=3, decisions=spoofs), 5_000)
    later = ((1, "spoofface"), (2, "uncertain"), (3, "unknown"), (4, "realface"))
    record = record.with_result(SessionResult(SessionStatus.STARTED, 3, decisions=later[:2]), 5_000)
    record = record.with_result(replace(REAL, decisions=later), 9_000)

    assert record.decided == (
        (4_999, "spoofface", 1),
        (5_000, "spoofface", 3),
        (5_001, "uncertain", 2),
        (9_000, "realface", 4),
    )
    assert record.failed_at == (4_999, 5_000, 5_001)
    assert record.passed


@pytest.mark.parametrize(
    ("token", "owner", "callers", "expected"),
    [
        ("token", None, (), True),
        ("token", None, ("p",), True),
        ("token", "p", ("p",), True),
        ("token", "p", ("q", "p"), True),
        ("token", "p", ("q",), False),
        ("token", "p", (), False),
        ("Token", "p", ("p",), False),
        ("Token", None, (), False),
        ("", None, (), False),
        ("tok\ud800n", None, (), False),
    ],
)
def test_session_is_held_by_its_token_and_its_caller(
    token: str, owner: str | None, callers: tuple[str, ...], expected: bool
) -> None:
    """Both have to be those of the create. A session without a caller is from before callers had to sign in.

    Such a session is read by others until its end only.
    """
    record = replace(NEW, caller=owner)

    assert record.is_held_by(token, callers, END) is expected
    is_from_before = owner is None and callers
    assert record.is_held_by(token, callers, END + 1) is (expected and not is_from_before)


def test_older_answer_of_face_takes_nothing_away() -> None:
    """Neither the start, nor what was said of the attempts, of abuse and of addresses."""
    newer = SessionResult(
        SessionStatus.STARTED, 2, abuse_detected=True, flagged_sessions=("a",), client_addresses=("b",)
    )
    record = NEW.with_result(SessionResult(SessionStatus.STARTED, 1), 2_000).with_result(newer, 3_000)

    said = (record.attempts, record.abuse_detected, record.flagged_sessions, record.client_addresses)
    assert said == (2, True, ("a",), ("b",))
    assert record.with_result(SessionResult(SessionStatus.NOT_STARTED), 4_000) == record


def test_outcome_of_another_release_stands_until_the_session_ends() -> None:
    """It may be worse than Face's: the session never passes."""
    unread = replace(NEW, unread={"status": "Later"})
    failed = replace(unread, decided=((2_000, "spoofface", 1),))

    assert unread.with_result(REAL, 3_000) is unread
    for record, status in ((unread, SessionStatus.EXPIRED), (failed, SessionStatus.RESULT_AVAILABLE)):
        ended = record.expired(4_000)
        assert (ended.status, ended.completed_at, ended.unread) == (status, 4_000, {})


def test_session_that_face_has_to_know_is_not_gone() -> None:
    """Face drops a session by itself only after its end. One that has ended stays as it is."""
    with pytest.raises(UpstreamFailure):
        NEW.gone(END)
    assert NEW.gone(END + 1).status is SessionStatus.EXPIRED
    for ended in (REVOKED, NEW.with_result(REAL, 2_000)):
        assert ended.gone(3_000) is ended


PASSED = replace(
    NEW,
    status=SessionStatus.RESULT_AVAILABLE,
    decision=LivenessDecision.REALFACE,
    digest_required=True,
    digest_matches=True,
)


@pytest.mark.parametrize(
    ("changed", "passed"),
    [
        ({}, True),
        *[({"status": status}, False) for status in SessionStatus if status is not PASSED.status],
        *[({"decision": decision}, decision is PASSED.decision) for decision in (None, *LivenessDecision)],
        ({"failure": UNFINISHED}, False),
        ({"digest_matches": False}, False),
        ({"digest_matches": False, "digest_required": False}, False),
        ({"digest_matches": None}, False),
        ({"digest_matches": None, "digest_required": False}, True),
        ({"abuse_detected": False}, True),
        ({"abuse_detected": True}, False),
        ({"abuse_detected": True, "abuse_is_failure": False}, True),
    ],
)
def test_check_passed_only_where_nothing_speaks_against_it(changed: dict[str, Any], passed: bool) -> None:
    """One thing that does not fit is enough."""
    assert replace(PASSED, **changed).passed is passed


@pytest.mark.parametrize(
    ("fields", "closed", "owes_event"),
    [
        ({}, False, True),
        ({"revoked": True}, False, False),
        ({"revoked": True, "deleted_upstream": True}, True, False),
        ({"status": SessionStatus.EXPIRED}, True, True),
        ({"status": SessionStatus.EXPIRED, "revoked": True}, True, True),
        ({"status": SessionStatus.EXPIRED, "published_at": 1}, True, False),
    ],
)
def test_session_is_closed_and_its_event_owed_by_its_state(
    fields: dict[str, Any], closed: bool, owes_event: bool
) -> None:
    """Face is read until there is an outcome. A session that was revoked without one has no event."""
    record = replace(NEW, **fields)

    assert (record.closed, record.owes_event) == (closed, owes_event)


def test_history_tells_each_step_once() -> None:
    """What happens again leaves no trace, and the outcome is in the entry of its step."""
    record = NEW.noted(Step.CREATED, 1_000)
    for now in (2_000, 3_000):
        record = record.with_result(SessionResult(SessionStatus.STARTED), now)
    record = record.with_result(replace(MASKED, request_id="a-request"), 4_000)
    for now in (5_000, 6_000):
        record = record.as_revoked(now)
        record = record.with_next_look(now, "the topic is down", 1).as_published(now)
        record = record.with_next_look(now, "Face is down", 1).as_deleted_upstream(now)

    assert record.history == (
        (1_000, "created"),
        (2_000, "started"),
        (4_000, "completed"),
        (5_000, "revoked"),
        (5_000, "published"),
        (5_000, "deletedUpstream"),
    )
    assert NEW.expired(2_000).history == ((2_000, "expired"),)
    assert (record.completed_at, record.published_at, record.deleted_upstream) == (4_000, 5_000, True)
    outcomes = [(entry.id, entry.failure, entry.request_id) for entry in record.audit()]
    assert outcomes[:4] == [
        *[(1, None, None), (2, None, None)],
        (3, MASKED.failure, "a-request"),
        (4, None, None),
    ]


def test_progress_ends_what_operators_are_told_of_the_last_try() -> None:
    """They see when the next look is, why the last one failed, and how many did."""
    waiting = NEW.expired(2_000).with_next_look(9_000, "down", 3)

    assert (waiting.next_look_at, waiting.last_error, waiting.failed_looks) == (9_000, "down", 3)
    for record in (waiting.as_published(3_000), waiting.as_deleted_upstream(3_000)):
        assert (record.next_look_at, record.last_error, record.failed_looks) == (None, None, 0)


@pytest.mark.parametrize(
    "ended",
    [NEW.with_result(REAL, 2_000), NEW.as_revoked(2_000), replace(NEW, unread={"status": "Later"})],
    ids=["result", "revoked", "outcome of another release"],
)
def test_session_that_ended_is_not_cut_off(ended: SessionRecord) -> None:
    """Nobody loses a result that came meanwhile, and a worse outcome does not become an expiry."""
    assert ended.cut_off(3_000) is ended
    assert NEW.cut_off(3_000).revoked
