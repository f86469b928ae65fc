import pytest

from shared.errors import (
    UpstreamError,
    UpstreamFailure,
    UpstreamSessionGone,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from shared.face.retries import CREATE_PATIENCE, READ_PATIENCE, Patience, Trouble, next_wait

NOT_SENT = UpstreamFailure(request_sent=False)
AMBIGUOUS = UpstreamTimeout()


def wait(
    trouble: Trouble,
    *,
    repeatable: bool,
    attempt: int = 1,
    remaining: float = 5.0,
    jitter: float = 0.0,
    patience: Patience = READ_PATIENCE,
) -> float:
    return next_wait(
        trouble,
        attempt=attempt,
        repeatable=repeatable,
        patience=patience,
        remaining=remaining,
        jitter=jitter,
    )


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(NOT_SENT),
        Trouble(AMBIGUOUS),
        Trouble(UpstreamThrottled(retry_after=1.0), 429),
        Trouble(UpstreamThrottled(retry_after=1.0), 503),
        Trouble(UpstreamFailure(), 500),
        Trouble(UpstreamFailure(), 502),
        Trouble(UpstreamFailure(), 504),
    ],
    ids=lambda trouble: f"{type(trouble.error).__name__} {trouble.status}",
)
def test_read_is_repeated_where_it_may_pass(trouble: Trouble) -> None:
    """A read or delete is sent again after everything that can be over in a moment."""
    assert wait(trouble, repeatable=True) <= 1.0


@pytest.mark.parametrize("status", [300, 307, 400, 401, 403, 404, 409, 415, 501, 505])
def test_read_is_not_repeated_where_it_cannot_pass(status: int) -> None:
    """What was refused for good is not asked again."""
    with pytest.raises(UpstreamFailure):
        wait(Trouble(UpstreamFailure(), status), repeatable=True)


@pytest.mark.parametrize(
    "trouble",
    [Trouble(NOT_SENT), Trouble(UpstreamThrottled(retry_after=0.0), 429)],
    ids=["not sent", "429"],
)
def test_create_is_repeated_where_nothing_was_made(trouble: Trouble) -> None:
    """A create is sent again only where it never left, or was refused for its rate."""
    assert wait(trouble, repeatable=False) == 0.0


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(AMBIGUOUS),
        Trouble(UpstreamFailure()),
        Trouble(UpstreamThrottled(retry_after=0.0), 503),
        *(Trouble(UpstreamFailure(), status) for status in (400, 404, 409, 500, 502, 504)),
        *(Trouble(UpstreamUnauthorized(), status) for status in (401, 403)),
    ],
    ids=lambda trouble: f"{type(trouble.error).__name__} {trouble.status}",
)
def test_create_is_not_repeated_where_a_session_may_exist(trouble: Trouble) -> None:
    """After an ambiguous failure a create is never sent again: it could make a second session."""
    assert isinstance(trouble.error, UpstreamError)
    with pytest.raises(UpstreamError) as raised:
        wait(trouble, repeatable=False)
    assert raised.value is trouble.error


def test_session_that_is_gone_is_not_asked_for_again() -> None:
    """That there is no such session is an answer."""
    with pytest.raises(UpstreamSessionGone):
        wait(Trouble(UpstreamSessionGone(), 404), repeatable=True)


def test_third_try_is_the_last() -> None:
    """After three tries the trouble is raised."""
    assert wait(Trouble(AMBIGUOUS), repeatable=True, attempt=2) == 0.0
    with pytest.raises(UpstreamTimeout):
        wait(Trouble(AMBIGUOUS), repeatable=True, attempt=3)


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 2.0), (9, 2.0)])
def test_backoff_grows_to_its_cap_with_full_jitter(attempt: int, longest: float) -> None:
    """The wait is anything from nothing to a limit that doubles from 0.2 s to 2 s."""
    many = Patience(total=60.0, per_try=1.0, tries=10)
    for jitter in (0.0, 0.5, 1.0):
        waited = wait(
            Trouble(AMBIGUOUS), repeatable=True, attempt=attempt, jitter=jitter, patience=many, remaining=60.0
        )
        assert waited == pytest.approx(jitter * longest)


def test_wait_that_was_asked_for_is_kept_and_jittered() -> None:
    """Nobody comes back before Face said, and not all come back in the same moment."""
    trouble = Trouble(UpstreamThrottled(retry_after=2.0), 429)
    assert wait(trouble, repeatable=True, jitter=1.0) == pytest.approx(2.2)


@pytest.mark.parametrize(("retry_after", "remaining"), [(26.0, 5.0), (4.1, 5.0), (0.0, 0.9)])
def test_wait_that_leaves_no_time_for_a_try_is_not_begun(retry_after: float, remaining: float) -> None:
    """Where the wait and half a try do not fit into what remains, the caller learns the wait at once."""
    trouble = Trouble(UpstreamThrottled(retry_after=retry_after), 429)
    with pytest.raises(UpstreamThrottled) as raised:
        wait(trouble, repeatable=True, remaining=remaining)
    assert raised.value.retry_after == retry_after


def test_patience_is_as_designed() -> None:
    """Create has 8 s, result and delete have 5 s, and three tries."""
    assert (CREATE_PATIENCE.total, READ_PATIENCE.total) == (8.0, 5.0)
    assert (CREATE_PATIENCE.tries, READ_PATIENCE.tries) == (3, 3)
