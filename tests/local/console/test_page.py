"""The console page: markup, scripts and style."""

import re
from html.parser import HTMLParser

import aiohttp
import pytest

_IMPORT = re.compile(r'from "\./([^"]+)"')
_ELEMENT_ID = re.compile(r'(?:byId|onClick|onSubmit|setText|showRows)\("([^"]+)"')


class Page(HTMLParser):
    """The tags of a page with their attributes, in order, and the text inside of scripts and styles."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline_code = ""
        self.feed(markup)
        self.close()

    def all(self, attribute: str, *names: str) -> list[str]:
        """The values of an attribute, of tags with these names or of all."""
        found = [attributes for name, attributes in self.tags if not names or name in names]
        return [attributes[attribute] or "" for attributes in found if attribute in attributes]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag in {"script", "style"}:
            self.inline_code += data.strip()


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


async def test_page_obeys_its_own_policy(console: aiohttp.ClientSession, page: Page) -> None:
    """The console serves what the page loads; the markup has no code, style or handler, which would be blocked."""
    paths = page.all("href", "link") + page.all("src", "script")
    assert len(paths) == 3
    for path in paths:
        async with console.get(path) as response:
            assert response.status == 200, path
    names = {name for _, attributes in page.tags for name in attributes}
    assert not page.inline_code
    assert "style" not in names | {tag for tag, _ in page.tags}
    assert not [name for name in names if name.startswith("on")]


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
    assert wanted <= set(page.all("id"))
    assert len(page.all("id")) == len(set(page.all("id")))


async def test_screen_reader_can_name_fields_and_hears_what_happens(page: Page) -> None:
    """Each field has a label, references lead somewhere, and verdicts, calls and events are announced as they come.

    A screen reader announces changes of what it knows: a status line is there before it has something to say.
    """
    assert set(page.all("id", "input", "select")) == set(page.all("for", "label"))
    references = " ".join(page.all("aria-describedby") + page.all("aria-labelledby")).split()
    assert references
    assert set(references) <= set(page.all("id"))
    roles = {attributes["id"]: attributes["role"] for _, attributes in page.tags if "role" in attributes}
    assert roles == {
        "trouble": "alert",
        "sign-in-outcome": "alert",
        **dict.fromkeys((f"{step}-outcome" for step in ("create", "perform", "read", "revoke")), "status"),
        "operator-status": "status",
        "operator-copied": "status",
        "calls-status": "status",
        "events-status": "status",
        "events-log": "log",
    }
    hidden = [tag.get("id") for _, tag in page.tags if tag.get("role") == "status" and "hidden" in tag]
    assert hidden == []


async def test_times_are_those_of_the_one_clock(modules: dict[str, str]) -> None:
    """The page has UTC alone, from one module: no time of this machine's zone or language."""
    clock = modules.pop("clock.js")
    assert "toISOString" in clock
    for code in modules.values():
        assert not re.search(r"toLocale|new Date\(\)|getHours", code)
