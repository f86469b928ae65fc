import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.face.model import parse_session_id
from tests.shared.face.doubles import NOT_IDS, SESSION
from tests.shared.face.json_values import unhurried


def test_canonical_id_is_returned_unchanged() -> None:
    """A GUID in lower case with its hyphens is a session id."""
    assert parse_session_id(SESSION) == SESSION


@pytest.mark.parametrize("text", NOT_IDS)
def test_anything_else_is_not_an_id(text: str) -> None:
    """A text that a lenient parser would accept is not a session id."""
    assert parse_session_id(text) is None


@unhurried
@given(st.text())
def test_any_text_that_is_an_id_has_only_hexadecimal_digits_and_hyphens(text: str) -> None:
    """A text with any other character is not accepted."""
    parsed = parse_session_id(text)
    assert parsed is None or set(parsed) <= set("0123456789abcdef-")
