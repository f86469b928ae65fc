"""Ids as they are stored."""

import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import KeyUnavailable
from shared.keys.cache import CachedSecret
from shared.keys.secret import Secret
from shared.pseudonyms import Pepper, Pseudonyms
from tests.shared.keys.fake_secret import HOUR, FakeSecret
from tests.support.app import pseudonyms_of
from tests.support.time import FakeClock


async def made(*parts: str, pepper: str = "a-pepper") -> str:
    return await pseudonyms_of(pepper).of(*parts)


async def test_no_two_lists_of_parts_run_together() -> None:
    lists = ["k ab c", "k a bc", "k abc", "ka b c", "k abc ", "k  abc"]

    assert len({await made(*parts.split(" ")) for parts in lists}) == len(lists)


async def test_pseudonym_depends_on_the_pepper_and_shows_nothing() -> None:
    """Without the pepper nobody can try ids out; with it, one id is always the same."""
    one = await made("device", "phone-7")

    assert one == await made("device", "phone-7")
    assert one != await made("device", "phone-7", pepper="another-pepper")
    assert len(one) == 64
    assert "phone" not in one


async def test_mac_has_a_key_of_hkdf() -> None:
    """The derivation is the library's; keys with other labels are other keys, and each content has its own MAC."""
    pepper, derivation = Pepper(Secret("a-pepper")), HKDF(SHA256(), 32, salt=None, info=b"a label")

    key = derivation.derive(b"a-pepper")
    for content in (b"one", b"two"):
        assert pepper.mac("a label", content) == hmac.digest(key, content, "sha256")
    assert pepper.mac("another", b"one") != pepper.mac("a label", b"one")


async def test_first_pepper_makes_and_all_recognise() -> None:
    """Each is what it would be alone. Another value of the secret counts as soon as it is read."""
    vault, clock = FakeSecret(), FakeClock()
    pseudonyms = Pseudonyms(CachedSecret(vault.read, name="id-pepper", clock=clock))

    for vault.value in ("old", "old,new", "new,old", "new"):
        clock.advance_ms(24 * HOUR)
        expected = [await made("device", "phone-7", pepper=one) for one in vault.value.split(",")]
        assert list(await pseudonyms.all_of("device", "phone-7")) == expected
        assert await pseudonyms.of("device", "phone-7") == expected[0]


@pytest.mark.parametrize("value", [",", "old,", ",new", "old,,new", "old,old"])
async def test_empty_and_repeated_peppers_are_refused(value: str) -> None:
    """The reason does not tell the value."""
    with pytest.raises(KeyUnavailable) as refused:
        await pseudonyms_of(value).peppers()

    assert refused.value.detail == "expected one value, or several different ones with commas between them"
