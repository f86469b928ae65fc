"""What was sealed opens under the same key and place alone."""

import pytest

from shared.sealing import NONCE_BYTES, seal, unseal

KEY, NONCE = bytes(32), bytes(NONCE_BYTES)
SEALED = seal(KEY, NONCE, b"an answer", b"a row")


def test_sealed_content_is_hidden_and_opens() -> None:
    """The nonce is in front."""
    assert SEALED.startswith(NONCE)
    assert b"an answer" not in SEALED
    assert unseal(KEY, SEALED, b"a row") == b"an answer"


@pytest.mark.parametrize(
    ("key", "sealed", "place"),
    [
        (b"1" * 32, SEALED, b"a row"),
        (KEY, SEALED, b"another row"),
        (KEY, SEALED[:-1] + bytes([SEALED[-1] ^ 1]), b"a row"),
        *((KEY, SEALED[:count], b"a row") for count in (0, NONCE_BYTES, NONCE_BYTES + 15, NONCE_BYTES + 16)),
    ],
)
def test_anything_else_does_not_open(key: bytes, sealed: bytes, place: bytes) -> None:
    """Another key or row, a changed bit, and too few bytes for a nonce and a tag."""
    assert unseal(key, sealed, place) is None
