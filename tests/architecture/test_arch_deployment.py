"""What is deployed: exactly the app, whatever else lies in the working directory."""

import pytest

from tests.architecture.repository import deployed, tracked
from tests.architecture.source_tree import FUNCTION_PACKAGES, NOT_DEPLOYED, ROOT

PACKAGES = (
    "audit_session",
    "collect_result",
    "create_session",
    "get_result",
    "health",
    "purge_expired",
    "revoke_session",
    "unknown_route",
)
FILES = ("function_app.py", "host.json", "requirements.txt")

LEFT_IN_THE_WORKING_DIRECTORY = (
    ".venv/bin/python",
    ".venv-3.11/bin/python",
    ".tools/node_modules/a.js",
    ".local/events.jsonl",
    ".mypy_cache/a.json",
    ".pytest_cache/a",
    ".ruff_cache/a",
    ".hypothesis/a",
    ".git/config",
    ".github/workflows/ci.yml",
    ".ci/run",
    "local.settings.json",
    "shared/__pycache__/settings.pyc",
    "tests/support/engine.py",
    "infra/bicep/main.bicep",
)


def test_deployed_are_the_app_and_nothing_else() -> None:
    """What `.funcignore` leaves of the project are the function packages, `shared`, and three files."""
    left = deployed(tracked())

    assert {path.split("/")[0] for path in left} == {*PACKAGES, "shared", *FILES}
    assert {path for path in left if not path.endswith(".py")} == {"host.json", "requirements.txt"}


def test_every_module_of_the_app_is_deployed() -> None:
    """No pattern of `.funcignore` takes away what the app imports."""
    app = {path for path in tracked() if path.split("/")[0] in (*PACKAGES, "shared", *FILES)}

    assert deployed(tracked()) == app


@pytest.mark.parametrize("path", LEFT_IN_THE_WORKING_DIRECTORY)
def test_what_else_lies_around_is_not_deployed(path: str) -> None:
    """`func` packs the working directory and not the repository: caches, tools and secrets stay behind."""
    assert deployed([path]) == set()


@pytest.mark.parametrize("pattern", (ROOT / ".gitignore").read_text("utf-8").split())
def test_what_is_not_in_the_repository_is_not_deployed(pattern: str) -> None:
    """Whatever git leaves out of the repository is left out of a deployment too."""
    name = pattern.rstrip("/").replace("*", "a")

    assert deployed([f"{name}/a" if pattern.endswith("/") else name]) == set()


def test_function_packages_are_the_expected_ones() -> None:
    """The rules of the layout look at the same packages that are deployed."""
    assert FUNCTION_PACKAGES == PACKAGES
    assert not set(PACKAGES) & set(NOT_DEPLOYED)
