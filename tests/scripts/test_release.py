"""The version of a release: in one place, and the same in all that shows it."""

import json
import re
import subprocess
from pathlib import Path

from scripts.openapi import document
from scripts.package import version

ROOT = Path(__file__).parents[2]


def test_everything_shows_the_version_of_the_project() -> None:
    """Change it in pyproject.toml, and run `make reference`."""
    published = json.loads((ROOT / "docs/openapi.json").read_text("utf-8"))
    client = json.loads((ROOT / "clients/javascript/package.json").read_text("utf-8"))

    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version())
    assert {document()["info"]["version"], published["info"]["version"], client["version"]} == {version()}


def test_the_changelog_has_the_version_with_its_date() -> None:
    """What is not released yet stands above it, under `Unreleased`."""
    headings = re.findall("^## (.*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    [newest, *_] = [heading for heading in headings if heading != "Unreleased"]
    assert re.fullmatch(re.escape(version()) + " - 20[0-9]{2}-[01][0-9]-[0-3][0-9]", newest)


def test_the_printed_commands_find_the_version() -> None:
    """A maintainer types them to tag a release."""
    [_, page] = (ROOT / "docs/development.md").read_text("utf-8").split("## A release\n")
    [find, tag] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0].splitlines()
    command = ["/bin/sh", "-ceu", f'{find}\necho "v$version"']
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert found == f"v{version()}\n"
    assert tag == 'git tag -a "v$version" -m "$version" && git push origin "v$version"'
