import copy
import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from shared.errors import KeyUnavailable
from shared.keys.secret import Secret, StaticSecret

VALUE = "CANARY-0123456789abcdef"

USABLE = ["0123456789abcdef0123456789abcdef", "!~", "a/b+c=="]

UNUSABLE = [
    pytest.param("", "is empty", id="empty"),
    pytest.param(
        "@Microsoft.KeyVault(SecretUri=https://kv/secrets/face-key)", "did not resolve", id="reference"
    ),
    pytest.param("key\n", "printable ASCII", id="line-break-at-the-end"),
    pytest.param(" key", "printable ASCII", id="blank"),
    pytest.param("ke\x00y", "printable ASCII", id="nul"),
    pytest.param("schlüssel", "printable ASCII", id="umlaut"),
]


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(ascii, id="ascii"),
        pytest.param("{}".format, id="format"),
        pytest.param("{:>40}".format, id="format-with-a-width"),
        pytest.param(lambda secret: "%s %r" % (secret, [secret]), id="percent"),  # noqa: UP031
    ],
)
def test_a_secret_shown_does_not_show_its_value(show: Callable[[Secret], str]) -> None:
    """However a secret is turned into text, the value is not in it."""
    assert "CANARY" not in show(Secret(VALUE))


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(json.dumps, id="json"),
        pytest.param(vars, id="vars"),
    ],
)
def test_a_secret_does_not_leave_by_serialisation(leave: Callable[[Secret], object]) -> None:
    """A secret can be neither copied nor written out by accident, and the refusal is silent about it."""
    with pytest.raises(TypeError) as refused:
        leave(Secret(VALUE))
    assert "CANARY" not in str(refused.value)


def test_a_traceback_with_locals_does_not_show_the_value() -> None:
    """A crash report that prints local variables prints no secret."""
    secret = Secret(VALUE)
    try:
        raise RuntimeError(f"about {secret}")
    except RuntimeError as error:
        report = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "secret = <secret>" in report
    assert "CANARY" not in report


def test_reveal_answers_the_value() -> None:
    """The value is there for who asks for it by name."""
    assert Secret(VALUE).reveal() == VALUE


def test_secrets_are_equal_by_value_alone() -> None:
    """Two secrets are the same when their values are, whenever they end; a text is never a secret."""
    assert Secret(VALUE) == Secret(VALUE, expires_at=1)
    assert Secret(VALUE) != Secret("other")
    assert Secret("ü") != Secret("ä")
    assert Secret(VALUE) != VALUE


@pytest.mark.parametrize("value", USABLE)
async def test_a_static_secret_answers_its_value_before_and_after_a_refusal(value: str) -> None:
    """For local runs the value from the settings is all there is."""
    source = StaticSecret(Secret(value), name="FACE_KEY")
    assert (await source.get()).reveal() == value
    assert await source.refresh(Secret(value)) == Secret(value)


@pytest.mark.parametrize(("value", "flaw"), UNUSABLE)
async def test_a_value_that_no_header_can_carry_is_refused_by_name(value: str, flaw: str) -> None:
    """The operator learns which secret is unusable and why, and nothing of the value."""
    source = StaticSecret(Secret(value), name="FACE_KEY")
    with pytest.raises(KeyUnavailable) as refused:
        await source.get()
    assert refused.value.detail.startswith("secret FACE_KEY ")
    assert flaw in refused.value.detail
    assert not value or value not in refused.value.detail
