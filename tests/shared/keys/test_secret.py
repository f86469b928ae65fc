"""A secret shows its value to `reveal` alone, and one that no header can carry is refused."""

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from shared.keys.secret import Secret, StaticSecret, flaw_of

VALUE = "CANARY-0123456789abcdef"


@pytest.mark.parametrize(
    "show",
    [repr, str, ascii, "{}".format, "{:>40}".format, lambda secret: "%s %r" % (secret, [secret])],  # noqa: UP031
)
def test_no_text_of_a_secret_shows_its_value(show: Callable[[Secret], str]) -> None:
    assert "CANARY" not in show(Secret(VALUE))


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_secret_is_not_copied_by_accident(leave: Callable[[Secret], object]) -> None:
    """Nor written out; the error does not show the value either."""
    with pytest.raises(TypeError) as refused:
        leave(Secret(VALUE))
    assert "CANARY" not in str(refused.value)


def test_secrets_are_equal_by_value_alone() -> None:
    """Their ends do not count, and a text is never a secret."""
    assert Secret(VALUE) == Secret(VALUE, expires_at=1)
    assert Secret(VALUE) != Secret("other")
    assert Secret("ü") != Secret("ä")
    assert Secret(VALUE) != VALUE


@pytest.mark.parametrize("value", ["0123456789abcdef0123456789abcdef", "!~", "a/b+c=="])
async def test_a_static_secret_never_changes(value: str) -> None:
    """A refusal brings the value from the settings again."""
    source = StaticSecret(Secret(value))
    assert (await source.get()).reveal() == value
    assert await source.refresh(Secret(value)) == Secret(value)


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        ("", "is empty"),
        ("@Microsoft.KeyVault(SecretUri=https://kv/secrets/x)", "did not resolve"),
        *[(value, "printable ASCII") for value in ("key\n", " key", "ke\x00y", "schlüssel")],
    ],
    ids=ascii,
)
def test_a_value_that_no_header_can_carry_has_a_flaw(value: str, flaw: str) -> None:
    """The operator reads why the secret is unusable, and nothing of the value."""
    said = flaw_of(Secret(value)) or ""
    assert flaw in said
    assert not value or value not in said
