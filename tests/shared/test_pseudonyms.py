"""Ids as they are stored."""

from itertools import combinations

from shared.pseudonyms import Pseudonyms


async def _pepper() -> bytes:
    return b"a-pepper"


async def _other_pepper() -> bytes:
    return b"another-pepper"


async def test_no_two_lists_of_parts_run_together() -> None:
    """Each list has a pseudonym of its own, wherever its parts begin and end."""
    lists = [
        ("k", "ab", "c"),
        ("k", "a", "bc"),
        ("k", "abc"),
        ("ka", "b", "c"),
        ("k", "abc", ""),
        ("k", "", "abc"),
    ]
    made = [await Pseudonyms(_pepper).of(*parts) for parts in lists]

    assert all(one != other for one, other in combinations(made, 2))


async def test_pseudonym_depends_on_the_pepper_and_shows_nothing() -> None:
    """Without the pepper nobody can try ids out; with it, one id is always the same."""
    one, again = [await Pseudonyms(_pepper).of("device", "phone-7") for _ in range(2)]

    assert one == again
    assert one != await Pseudonyms(_other_pepper).of("device", "phone-7")
    assert len(one) == 64
    assert "phone" not in one
