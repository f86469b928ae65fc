import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UpstreamSessionGone
from shared.face import session_ids
from tests.face.doubles import SESSION

NOT_IDS = [
    "",
    ".",
    "..",
    "../../../face/v1.0/largepersongroups",
    "%2e%2e",
    "%2e%2e%2f",
    SESSION.upper(),
    SESSION.replace("-", ""),
    f"{{{SESSION}}}",
    f"urn:uuid:{SESSION}",
    f"{SESSION}\n",
    f"\n{SESSION}",
    f"{SESSION} ",
    f"{SESSION}/",
    f"{SESSION}/audit",
    f"{SESSION}/..",
    f"{SESSION}?top=1",
    f"{SESSION}#",
    f"{SESSION};x",
    f"{SESSION}\\..",
    f"{SESSION}\r\nX: y",
    f"{SESSION}\0",
    SESSION.replace("1", "\N{FULLWIDTH DIGIT ONE}"),
    SESSION.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    SESSION.replace("-", "\N{HYPHEN}"),
    f"b12e033ebda7-4b83-a211-e721c661f30e{'-'}",
    SESSION[:-1],
    SESSION + "0",
    SESSION * 300,
]


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


@given(st.text())
def test_any_text_that_is_an_id_has_only_hexadecimal_digits_and_hyphens(text: str) -> None:
    """No text is taken that holds any other character."""
    parsed = session_ids.parse(text)
    assert parsed is None or set(parsed) <= set("0123456789abcdef-")


@given(st.uuids())
def test_any_guid_in_canonical_form_is_an_id(guid: object) -> None:
    """Every GUID has a form that is taken."""
    assert session_ids.parse(str(guid)) == str(guid)
