"""Writes what is made from the code: tables of pages, the OpenAPI document, and the requests for httpyac and Postman.

The tables of the clients are made from the error catalogue too.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from local.simulator.scenarios import SCENARIOS, Scenario  # noqa: E402 - the path must be set first.
from scripts import openapi, package, request_files  # noqa: E402
from scripts.results import FAILURES, RESULTS, ResultRow  # noqa: E402
from shared.settings import SETTINGS  # noqa: E402
from shared.web.catalogue import CATALOGUE, Again, CatalogueRow  # noqa: E402


class ClientRow(TypedDict):
    """What a client does about an error, and what it tells the person."""

    again: Again
    atMost: int
    tell: str


def errors_tables() -> list[str]:
    """The error catalogue for developers of apps: a table for each thing that an app does."""
    lines = []
    for again, heading in _HEADINGS.items():
        rows = [
            (str(row.status), f"`{row.code}`", _message(row.message), _what_to_do(row), row.tell)
            for row in sorted(CATALOGUE, key=lambda row: int(row.status))
            if row.again is again
        ]
        heads = ("status", "code", "message", "the developer", "tell the person")
        lines += ["", f"### {heading}", "", *_table(heads, rows)]
    return [*lines, ""]


def results_table() -> list[str]:
    """What each answer to a poll means, and what the app and the backend do."""
    rows = [(row.when, row.means, _app_says(row), row.backend) for row in RESULTS]
    return _table(("the answer", "it means", "the app says", "the backend"), rows)


def _app_says(row: ResultRow) -> str:
    if row.by_failure:
        return f"the sentence of [its code](#codes-of-a-failure); for an unknown code: {row.tell}"
    return row.tell or "nothing; it [asks again](#while-there-is-no-result)"


def failures_table() -> list[str]:
    """What a person is told about an attempt without a decision."""
    return _table(("code", "tell the person"), [(f"`{code}`", tell) for code, tell in FAILURES.items()])


def _client_rows() -> dict[str, dict[str, ClientRow]]:
    """The tables of the clients, as the OpenAPI document has them."""
    contract = openapi.document()

    def rows(*tables: str) -> dict[str, ClientRow]:
        return {
            code: {"again": row["again"], "atMost": row["atMostSeconds"], "tell": row["tell"]}
            for table in tables
            for code, row in contract[table].items()
        }

    return {"ERRORS": rows("x-errors", "x-client-errors"), "OTHER_ERRORS": rows("x-status-errors")}


def client_errors() -> str:
    """The table of the JavaScript client."""
    lines = [_CLIENT_MARK]
    tables: Mapping[str, Mapping[str, object]] = {**_client_rows(), "FAILURES": FAILURES}
    for name, table in tables.items():
        fields = (f"  {key}: {json.dumps(row)}," for key, row in table.items())
        lines += ["", f"export const {name} = {{", "  __proto__: null,", *fields, "};"]
    return "\n".join([*lines, ""])


def client_package() -> str:
    """The JavaScript client's package as it is, with the version of the project."""
    text = (ROOT / _CLIENT_PACKAGE).read_text("utf-8")
    return re.sub(r'"version": "[^"]*"', f'"version": "{package.version()}"', text, count=1)


def kotlin_tables() -> list[str]:
    """The tables in the Kotlin client."""
    lines: list[str] = []
    for name, table in _client_rows().items():
        rows = (
            f'    "{code}" to ErrorRow(Again.{row["again"].name}, {row["atMost"]}, {_kotlin(row["tell"])}),'
            for code, row in table.items()
        )
        lines += [f"private val {name} = mapOf(", *rows, ")", ""]
    sentences = (f'    "{code}" to {_kotlin(tell)},' for code, tell in FAILURES.items())
    return [*lines, "private val FAILURES = mapOf(", *sentences, ")"]


def swift_tables() -> list[str]:
    """The tables in the Swift client."""
    case = {Again.NOW: "now", Again.LATER: "later", Again.NEW_SESSION: "newSession", Again.NEVER: "never"}
    lines: list[str] = []
    for name, table in zip(("errors", "otherErrors"), _client_rows().values(), strict=True):
        rows = (
            f'    "{code}": ErrorRow(.{case[row["again"]]}, {row["atMost"]}, {_quoted(row["tell"])}),'
            for code, row in table.items()
        )
        lines += [f"private let {name}: [String: ErrorRow] = [", *rows, "]", ""]
    sentences = (f'    "{code}": {_quoted(tell)},' for code, tell in FAILURES.items())
    return [*lines, "private let failures: [String: String] = [", *sentences, "]"]


def _native_client(path: str, tables: Callable[[], list[str]]) -> str:
    """A client in one file as it is, with the current tables between their marks."""
    end = "// End of the tables."
    before, _, rest = (ROOT / path).read_text().partition(_CLIENT_MARK)
    return "\n".join([f"{before}{_CLIENT_MARK}", *tables(), f"{end}{rest.partition(end)[2]}"])


def _quoted(text: str) -> str:
    # A string of Swift: its escapes for other characters than ASCII are not those of JSON.
    return json.dumps(text, ensure_ascii=False)


def _kotlin(text: str) -> str:
    return _quoted(text).replace("$", r"\$")


def settings_table() -> list[str]:
    """The app settings for operators."""
    rows = [(f"`{setting.name}`", _default(setting.default), setting.expected) for setting in SETTINGS]
    return _table(("setting", "default", "expected"), rows)


def scenarios_table() -> list[str]:
    """The magic device ids of the simulator."""
    shows_in = {"perform": "the phone's check", "get": "result"}
    rows = [
        (f"`{each.device_id}`", shows_in.get(each.call, each.call), each.happens, _app_gets(each))
        for each in SCENARIOS
    ]
    return _table(("device id", "shows in", "what happens at Face", "what the app gets"), rows)


def _app_gets(scenario: Scenario) -> str:
    texts: dict[str, list[str]] = {}
    for version, text in scenario.app_gets_in.items():
        texts.setdefault(text, []).append(f"`{version}`")
    differences = (f". In {' and '.join(versions)}: {text}" for text, versions in texts.items())
    return "".join([scenario.app_gets, *differences])


def _page(path: str, tables: Mapping[str, Callable[[], list[str]]]) -> str:
    """A page as it is, with the current tables between their marks; `tables` has them by their source."""
    text, end = (ROOT / path).read_text(), "<!-- End of the table. -->"
    for source, table in tables.items():
        begin = f"<!-- Made by `make reference`; the source is {source}. -->"
        before, _, rest = text.partition(begin)
        text = "\n".join([f"{before}{begin}", *table(), f"{end}{rest.partition(end)[2]}"])
    return text


def _default(value: object) -> str:
    # As a setting writes it: `true`, not `True`.
    return "" if value in (None, ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _what_to_do(row: CatalogueRow) -> str:
    return f"{row.what_to_do} For up to {row.at_most} s." if row.at_most else row.what_to_do


def _message(message: str) -> str:
    return (
        message.replace("{seconds}", "N")
        .replace("{error.maximum}", "86400")
        .replace("{error.choices}", "'Passive'")
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [f"| {' | '.join(cell for cell in line)} |" for line in lines]


_CLIENT_PACKAGE: Final = "clients/javascript/package.json"
_CLIENT_MARK: Final = (
    "// Made by `make reference`; the sources are shared/web/catalogue.py and scripts/results.py."
)
_HEADINGS: Final = {
    Again.NOW: "Again now",
    Again.LATER: "Again later",
    Again.NEW_SESSION: "A new session",
    Again.NEVER: "Never again",
}
_TABLES: Final[dict[str, dict[str, Callable[[], list[str]]]]] = {
    "docs/errors.md": {
        "`CATALOGUE` in shared/web/catalogue.py": errors_tables,
        "`RESULTS` in scripts/results.py": results_table,
        "`FAILURES` in scripts/results.py": failures_table,
    },
    "docs/settings.md": {"shared/settings.py": settings_table},
    "docs/simulator.md": {"local/simulator/scenarios.py": scenarios_table},
}
_NATIVE_CLIENTS: Final = (
    ("clients/kotlin/Liveness.kt", kotlin_tables),
    ("clients/swift/Liveness.swift", swift_tables),
)
PAGES: Final[dict[str, Callable[[], str]]] = {
    **{path: partial(_page, path, tables) for path, tables in _TABLES.items()},
    "clients/javascript/errors.js": client_errors,
    _CLIENT_PACKAGE: client_package,
    # A package without its license may not be passed on.
    "clients/javascript/LICENSE": (ROOT / "LICENSE").read_text,
    **{path: partial(_native_client, path, tables) for path, tables in _NATIVE_CLIENTS},
    # One for readers, and one that the app serves.
    "docs/openapi.json": openapi.page,
    "health/openapi.json": openapi.page,
    "docs/liveness.http": request_files.http_file,
    "docs/postman_collection.json": request_files.postman_collection,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())
        print(path)
