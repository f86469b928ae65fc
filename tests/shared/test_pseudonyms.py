"""Ids as they are stored."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.keys.secret import Secret, StaticSecret
from shared.pseudonyms import Pseudonyms


async def made(*parts: str, pepper: str = "a-pepper") -> str:
    return await Pseudonyms(StaticSecret(Secret(pepper), name="ID_PEPPER")).of(*parts)


async def test_no_two_lists_of_parts_run_together() -> None:
    """Each list has a pseudonym of its own, wherever its parts begin and end."""
    lists = ["k ab c", "k a bc", "k abc", "ka b c", "k abc ", "k  abc"]

    assert len({await made(*parts.split(" ")) for parts in lists}) == len(lists)


async def test_pseudonym_depends_on_the_pepper_and_shows_nothing() -> None:
    """Without the pepper nobody can try ids out; with it, one id is always the same."""
    one = await made("device", "phone-7")

    assert one == await made("device", "phone-7")
    assert one != await made("device", "phone-7", pepper="another-pepper")
    assert len(one) == 64
    assert "phone" not in one


async def test_derived_key_is_one_of_hkdf() -> None:
    """The derivation is the library's; keys with other labels are other keys."""
    pseudonyms = Pseudonyms(StaticSecret(Secret("a-pepper"), name="ID_PEPPER"))
    derivation = HKDF(SHA256(), 32, salt=None, info=b"a label")

    assert await pseudonyms.derived_key("a label") == derivation.derive(b"a-pepper")
    assert await pseudonyms.derived_key("another") != await pseudonyms.derived_key("a label")
