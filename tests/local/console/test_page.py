"""The console page: markup, scripts and style."""

import re

import aiohttp
import pytest

from tests.local.console.client import Page

_IMPORT = re.compile(r'from "\./([^"]+)"')
_ELEMENT_ID = re.compile(r'(?:byId|onClick|onSubmit)\("([^"]+)"')


@pytest.fixture
async def page(console: aiohttp.ClientSession) -> Page:
    async with console.get("/console") as response:
        return Page(await response.text())


@pytest.fixture
async def modules(console: aiohttp.ClientSession) -> dict[str, str]:
    """Every script of the page, found as a browser does: from the first one along its imports."""
    found: dict[str, str] = {}
    wanted = ["main.js"]
    while wanted:
        name = wanted.pop()
        async with console.get(f"/console/{name}") as response:
            assert response.status == 200, name
            found[name] = await response.text()
        wanted += [each for each in _IMPORT.findall(found[name]) if each not in found]
    return found


async def test_files_of_the_page_are_served(console: aiohttp.ClientSession, page: Page) -> None:
    """The console itself serves everything that the page loads."""
    paths = [each["href"] for each in page.all("link")] + [each["src"] for each in page.all("script")]
    assert len(paths) == 3
    for path in paths:
        assert path is not None
        async with console.get(path) as response:
            assert response.status == 200, path


async def test_page_obeys_its_own_policy(page: Page) -> None:
    """The markup has no code, style or handler, which the policy would block."""
    names = {name for _, attributes in page.tags for name in attributes}
    assert not page.inline_code.strip()
    assert not page.all("style")
    assert not [name for name in names if name == "style" or name.startswith("on")]


async def test_scripts_name_no_other_host_and_store_nothing(modules: dict[str, str]) -> None:
    """Hosts come from the page's address and the configuration; tokens live in memory only."""
    code = "\n".join(modules.values())
    assert len(modules) > 1
    assert not re.search(r"https?://", code)
    assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", code)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", code)


async def test_page_has_the_elements_that_scripts_look_up(page: Page, modules: dict[str, str]) -> None:
    """Each id in a script is in the page, once."""
    wanted = {name for code in modules.values() for name in _ELEMENT_ID.findall(code)}
    assert len(wanted) > 20
    assert wanted <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


async def test_fields_have_labels_and_references_lead_somewhere(page: Page) -> None:
    """A screen reader can name each field, and read out what explains it."""
    labelled = {each["for"] for each in page.all("label")}
    assert {each["id"] for each in page.all("input", "select")} == labelled
    described = [
        name
        for _, attributes in page.tags
        for reference in ("aria-describedby", "aria-labelledby")
        for name in (attributes.get(reference) or "").split()
    ]
    assert described
    assert set(described) <= set(page.ids)
