"""A limit in the memory of one instance."""

from shared.throttle.local import LocalLimit
from tests.support.time import FakeClock


def test_each_key_is_limited_and_old_keys_are_forgotten() -> None:
    """It says how long to wait, and keeps no more keys than it may."""
    clock = FakeClock()
    limit = LocalLimit("2/10s", clock, keys=2)
    for key in ("a", "a", "b"):
        assert limit.wait_ms(key) == 0
        limit.count(key)
    clock.advance_seconds(4)

    assert (limit.wait_ms("a"), limit.wait_ms("b")) == (6_000, 0)
    limit.count("b")
    limit.count("c")
    assert limit.wait_ms("a") == 0
