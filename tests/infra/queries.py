"""All Kusto queries of the repository: of alerts, of the workbook, and of the pages."""

import re
from collections.abc import Mapping

from tests.infra.bicep_compiler import INFRA, ROOT


def _files(folder: str) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted((INFRA / folder).glob("*.kql"))}


def _of_pages() -> dict[str, str]:
    return {
        f"{path.name} {number}": query
        for path in sorted((ROOT / "docs").rglob("*.md"))
        for number, query in enumerate(_in_page(path.read_text("utf-8")))
    }


def _in_page(page: str) -> list[str]:
    """The queries in blocks; and in the text, where a vertical line in a table has a backslash before it."""
    blocks = re.findall(r"```kusto\n(.*?)```", page, re.DOTALL)
    lines = re.findall(r"`([A-Z]\w+ \\?\| [^`]+)`", page)
    return [*blocks, *(line.replace("\\|", "|") for line in lines)]


# What modules/alerts.bicep sets in a query, and an example.
SET_BY_THE_TEMPLATE: Mapping[str, str] = {
    "DAILY_QUOTA_GB": "5",
    "APP_PRINCIPAL_ID": "00000000-0000-0000-0000-000000000009",
}
ALERTS = _files("alerts")
WORKBOOK = _files("workbook")


def everything() -> dict[str, str]:
    """Each query by its name, ready to run."""
    queries = {
        **{f"alerts/{name}": query for name, query in ALERTS.items()},
        **{f"workbook/{name}": query for name, query in WORKBOOK.items()},
        **_of_pages(),
    }
    for placeholder, example in SET_BY_THE_TEMPLATE.items():
        queries = {name: query.replace(placeholder, example) for name, query in queries.items()}
    return queries
