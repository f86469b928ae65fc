import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamSessionGone
from shared.face import session_ids
from tests.shared.face.doubles import NOT_IDS, SESSION
from tests.shared.face.json_values import unhurried


def test_canonical_id_is_answered_as_it_is() -> None:
    """A GUID in lower case with its hyphens is a session id."""
    assert session_ids.parse(SESSION) == SESSION


@pytest.mark.parametrize("text", NOT_IDS)
def test_anything_else_is_no_id(text: str) -> None:
    """Whatever a lenient parser would let pass is no session id."""
    assert session_ids.parse(text) is None


@pytest.mark.parametrize("text", NOT_IDS)
def test_path_of_anything_else_is_never_built(text: str) -> None:
    """What is no session id does not become part of a path: there is no such session."""
    with pytest.raises(UpstreamSessionGone):
        session_ids.path_below("/sessions", text)


@unhurried
@given(st.text())
def test_any_text_that_is_an_id_has_only_hexadecimal_digits_and_hyphens(text: str) -> None:
    """No text is taken that holds any other character."""
    parsed = session_ids.parse(text)
    assert parsed is None or set(parsed) <= set("0123456789abcdef-")


@unhurried
@given(st.uuids())
def test_any_guid_in_canonical_form_is_an_id(guid: object) -> None:
    """Every GUID has a form that is taken."""
    assert session_ids.parse(str(guid)) == str(guid)
