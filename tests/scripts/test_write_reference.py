"""The reference pages agree with the code."""

from pathlib import Path

import pytest

from scripts.write_reference import PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES)
def test_committed_page_is_what_the_code_makes(path: str) -> None:
    """A change of the code that changes a page shows in review. `make reference` writes the pages."""
    assert (ROOT / path).read_text() == PAGES[path]()
