"""What is stored of an identity, and what is made of content that is not a row's."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.throttle
from shared.errors import StorageUnavailable
from shared.storage.port import Entity, Value
from shared.throttle.rows import Row, decode, encode

logs = st.lists(st.integers(0, 2**45), max_size=50).map(lambda stamps: tuple(sorted(stamps)))


@given(st.dictionaries(st.sampled_from(["created", "failed"]), logs, min_size=1), st.integers(0, 2**45))
def test_row_comes_back_as_it_was_stored(content: dict[str, tuple[int, ...]], expires_at: int) -> None:
    """Times, expiry and etag survive."""
    row = Row("device-a", content, expires_at, "e1")
    assert Row.of(row.entity()) == row


def test_log_is_stored_as_a_time_and_steps() -> None:
    """The text is short, and plain to read in the table."""
    assert encode((0x19AAF3D2C01, 0x19AAF3D2C01, 0x19AAF3D2FE9)) == "19aaf3d2c01.0.3e8"
    assert encode(()) == ""


def test_largest_log_fits_into_a_property() -> None:
    """A property of Table Storage holds 32 Ki characters."""
    month = 31 * 86_400_000
    text = encode(tuple(1_790_000_000_000 + step * (month // 1000) for step in range(1000)))
    assert len(text) < 32 * 1024
    assert len(decode(text)) == 1000


@pytest.mark.parametrize(
    "value",
    ["x", "1.", ".1", "1..2", "-1", "1.-2", "1_0", " 1", "1\n", "A", "1,2", "0x1", "1" * 13,
     ".".join("1" * 1001), 7, 1.5, True],
)  # fmt: skip
def test_unknown_content_is_a_failure_of_the_store(value: Value) -> None:
    """It is never taken for an empty log, which would admit everybody."""
    with pytest.raises(StorageUnavailable) as caught:
        Row.of(Entity("device-a", {"created": value}, 0, "e1"))
    assert caught.value.detail == "a throttle row holds something that is not a log"


def test_row_without_any_log_is_a_failure_of_the_store() -> None:
    """The limiter never writes such a row."""
    with pytest.raises(StorageUnavailable) as caught:
        Row.of(Entity("device-a", {}, 0, "e1"))
    assert caught.value.detail == "a throttle row holds no log"


def test_expiry_never_goes_back() -> None:
    """A log of a short limit does not end what a log of a long one still means."""
    row = Row("device-a", {}).with_log("created", (5,), 900).with_log("failed", (6,), 100)
    assert row == Row("device-a", {"created": (5,), "failed": (6,)}, 900)


def test_policy_is_imported_without_anything_heavy() -> None:
    """The settings read policies before anything else is there."""
    code = (
        "import sys, shared.throttle.policy\n"
        "heavy = {'azure', 'httpx', 'pydantic', 'cryptography', 'jwt', 'aiohttp'}\n"
        "sys.exit(str(heavy & {name.split('.')[0] for name in sys.modules} or ''))"
    )
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=False)  # noqa: S603
    assert ended.stderr.strip() == b""


def test_public_names_are_there_and_sorted() -> None:
    """`__all__` is true."""
    names = shared.throttle.__all__
    assert sorted(names) == names
    assert all(hasattr(shared.throttle, name) for name in names)
