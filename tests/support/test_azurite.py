"""What becomes of tests that need Azurite where it is not installed."""

import sys
from pathlib import Path

import pytest

from local.azurite import find_azurite
from tests.support.azurite import require_azurite

NOWHERE = Path("/nonexistent/azurite")


def test_azurite_of_the_repository_is_used_first() -> None:
    """What `scripts/azurite.sh` installed is taken."""
    assert find_azurite(Path(sys.executable), "") == sys.executable


def test_azurite_on_the_path_is_used(tmp_path: Path) -> None:
    """A machine that has Azurite needs no second one."""
    program = tmp_path / "azurite"
    program.touch(mode=0o755)

    assert find_azurite(NOWHERE, str(tmp_path)) == str(program)


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "false"}], ids=str)
def test_missing_azurite_skips_and_says_how_to_get_it(environ: dict[str, str]) -> None:
    """On a laptop the tests that need it are left out, in one line."""
    with pytest.raises(pytest.skip.Exception, match=r"scripts/azurite\.sh"):
        require_azurite(find_azurite(NOWHERE, ""), environ)


def test_missing_azurite_fails_where_all_has_to_run() -> None:
    """In CI nothing is left out."""
    with pytest.raises(pytest.fail.Exception, match=r"scripts/azurite\.sh"):
        require_azurite(find_azurite(NOWHERE, ""), {"CI": "true"})
