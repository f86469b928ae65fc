"""A secret shows its value to `reveal` alone, and one that no header can carry is refused."""

import copy
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import KeyUnavailable
from shared.keys.secret import Secret, StaticSecret

VALUE = "CANARY-0123456789abcdef"


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(ascii, id="ascii"),
        pytest.param("{}".format, id="format"),
        pytest.param("{:>40}".format, id="format with a width"),
        pytest.param(lambda secret: "%s %r" % (secret, [secret]), id="percent"),  # noqa: UP031
    ],
)
def test_no_text_of_a_secret_shows_its_value(show: Callable[[Secret], str]) -> None:
    """However a secret is turned into text."""
    assert "CANARY" not in show(Secret(VALUE))


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_secret_is_not_copied_by_accident(leave: Callable[[Secret], object]) -> None:
    """Nor written out; the error does not show the value either."""
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


def test_secrets_are_equal_by_value_alone() -> None:
    """Their ends do not count, and a text is never a secret."""
    assert Secret(VALUE) == Secret(VALUE, expires_at=1)
    assert Secret(VALUE) != Secret("other")
    assert Secret("ü") != Secret("ä")
    assert Secret(VALUE) != VALUE


@pytest.mark.parametrize("value", ["0123456789abcdef0123456789abcdef", "!~", "a/b+c=="])
async def test_a_static_secret_never_changes(value: str) -> None:
    """A refusal brings the value from the settings again."""
    source = StaticSecret(Secret(value), name="FACE_KEY")
    assert (await source.get()).reveal() == value
    assert await source.refresh(Secret(value)) == Secret(value)


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param(
            "@Microsoft.KeyVault(SecretUri=https://kv/secrets/x)", "did not resolve", id="reference"
        ),
        pytest.param("key\n", "printable ASCII", id="line break at the end"),
        pytest.param(" key", "printable ASCII", id="blank"),
        pytest.param("ke\x00y", "printable ASCII", id="nul"),
        pytest.param("schlüssel", "printable ASCII", id="umlaut"),
    ],
)
async def test_a_value_that_no_header_can_carry_is_refused_by_name(value: str, flaw: str) -> None:
    """The operator reads which secret is unusable and why, and nothing of the value."""
    with pytest.raises(KeyUnavailable) as refused:
        await StaticSecret(Secret(value), name="FACE_KEY").get()
    assert refused.value.detail.startswith("secret FACE_KEY ")
    assert flaw in refused.value.detail
    assert not value or value not in refused.value.detail


def test_settings_load_neither_the_cache_nor_an_sdk() -> None:
    """Settings need only the type of a secret; the SDKs take half a second to load."""
    program = "import shared.settings, sys; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603 - this interpreter.
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "shared.keys.secret" in loaded
    assert not loaded & {"shared.keys.cache", "azure.core", "aiohttp", "msal"}
