"""Writes what is made from the code: docs/errors.md, docs/settings.md, a table of docs/simulator.md, OpenAPI."""

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from local.simulator import SCENARIOS  # noqa: E402 - the path must be set first.
from scripts import openapi  # noqa: E402
from shared.settings import SETTINGS  # noqa: E402
from shared.web.catalogue import CATALOGUE  # noqa: E402
from shared.web.responses import MAX_DETAILS  # noqa: E402

MADE_BY = "<!-- Made by `make reference`; the source is {}. -->"


def errors_page() -> str:
    """The error catalogue as a page for developers of apps."""
    rows = [
        (str(int(row.status)), f"`{row.code}`", _message(row.message), row.what_to_do)
        for row in sorted(CATALOGUE, key=lambda row: int(row.status))
    ]
    return "\n".join(
        [
            "# Errors",
            "",
            MADE_BY.format("shared/web/catalogue.py"),
            "",
            "Every error has the same shape. The header `x-ms-error-code` repeats its code, and `x-ms-request-id` its",
            "request id:",
            "",
            "```json",
            '{"error": {"code": "SessionNotFound", "message": "...", "requestId": "..."}}',
            "```",
            "",
            "If fields, header fields or query parameters are wrong, `target` names the first of them, and",
            f"`details` lists up to {MAX_DETAILS} faults. `code` and `message` are those of the first fault. The error",
            "never repeats a value. It repeats an unknown name only if it is 1 to 64 of `A-Za-z0-9_`:",
            "",
            "```json",
            '{"error": {"code": "InvalidRequestBody", "message": "...", "requestId": "...",',
            '  "target": "clientReference", "details": [',
            '    {"code": "InvalidRequestBody", "target": "clientReference", "message": "..."},',
            '    {"code": "InvalidTokenLifetime", "target": "authTokenTimeToLiveInSeconds", "message": "..."}]}}',
            "```",
            "",
            "If waiting helps, `retryAfterSeconds` and the header `Retry-After` have the wait in seconds. Decide by",
            "the code; messages are for people. The token lifetime depends on `AUTH_TOKEN_TTL_MAX_SECONDS`, and the",
            "modes depend on the Face API version: their messages name the values that apply.",
            "",
            *_table(("status", "code", "message", "what the phone does"), rows),
            "",
        ]
    )


def settings_page() -> str:
    """The app settings as a page for operators."""
    rows = [(f"`{setting.name}`", _default(setting.default), setting.expected) for setting in SETTINGS]
    return "\n".join(
        [
            "# Settings",
            "",
            MADE_BY.format("shared/settings.py"),
            "",
            "The app reads these app settings (environment variables) when it starts. It does not start with a wrong",
            "setting. The error has one line for each: its name and the expected values, never its value. An empty",
            "setting counts as not set.",
            "",
            *_table(("setting", "default", "expected"), rows),
            "",
        ]
    )


def simulator_page() -> str:
    """The page of the simulator as it is, with the current table of magic device ids."""
    begin, end = MADE_BY.format("local/simulator/scenarios.py"), "<!-- End of the table. -->"
    before, _, rest = (ROOT / "docs/simulator.md").read_text().partition(begin)
    shows_in = {"perform": "the phone's check", "get": "result"}
    rows = [(f"`{each.device_id}`", shows_in.get(each.call, each.call), each.happens) for each in SCENARIOS]
    table = _table(("device id", "shows in", "what happens"), rows)
    return "\n".join([f"{before}{begin}", *table, f"{end}{rest.partition(end)[2]}"])


def _default(value: object) -> str:
    # As a setting writes it: `true`, not `True`.
    return "" if value in (None, ()) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _message(message: str) -> str:
    return (
        message.replace("{seconds}", "N")
        .replace("{error.maximum}", "86400")
        .replace("{error.choices}", "'Passive'")
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [f"| {' | '.join(cell for cell in line)} |" for line in lines]


PAGES = {
    "docs/errors.md": errors_page,
    "docs/settings.md": settings_page,
    "docs/simulator.md": simulator_page,
    # One for readers, and one that the app serves.
    "docs/openapi.json": openapi.page,
    "health/openapi.json": openapi.page,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())
        print(path)
