"""What the simulator remembers of sessions, and what it prints of them."""

from local.simulator.sessions import REMEMBERED, Sessions
from tests.support.time import FakeClock


def _order(lifetime_s: int = 600) -> dict[str, int]:
    return {"authTokenTimeToLiveInSeconds": lifetime_s, "numberOfClientAttemptsAllowed": 3}


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
