"""The deployed package: `.funcignore` leaves the app, and nothing else of the working directory."""

from scripts.package import app_files, deployed
from tests.architecture.source_tree import FUNCTION_PACKAGES, ROOT, tracked

APP = {"function_app.py", "host.json", "requirements.txt", "shared", *FUNCTION_PACKAGES}
LEFT_BEHIND = """
    .venv/bin/python .venv-3.11/bin/python .tools/node_modules/a.js .local/events.jsonl .mypy_cache/a.json
    .pytest_cache/a .ruff_cache/a .hypothesis/a .git/config .github/workflows/ci.yml .ci/run local.settings.json
    shared/__pycache__/settings.pyc tests/support/engine.py infra/bicep/main.bicep
"""


def test_the_package_holds_the_app_and_nothing_else() -> None:
    """It holds each file of the function packages and of `shared`, and three further files."""
    app = {path for path in tracked() if path.split("/")[0] in APP}

    assert set(app_files()) == app
    assert {path.split("/")[0] for path in app} == APP
    assert {path for path in app if not path.endswith(".py")} == {"host.json", "requirements.txt"}


def test_other_files_of_the_working_directory_are_left_behind() -> None:
    """`func` packs the working directory, where caches, tools and secrets lie beside the repository."""
    patterns = (ROOT / ".gitignore").read_text("utf-8").split()
    untracked = [pattern.replace("*", "a") + ("a" if pattern.endswith("/") else "") for pattern in patterns]

    assert deployed([*LEFT_BEHIND.split(), *untracked]) == set()
