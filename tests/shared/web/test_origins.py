"""The header fields for web pages of other origins."""

import pytest

from shared.web.origins import of_answer

PAGE = "https://app.example.com"


@pytest.mark.parametrize(
    ("origin", "allowed", "fields"),
    [
        (PAGE, [PAGE], {"Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}),
        ("https://evil.example.com", [PAGE], {"Vary"}),
        (f"{PAGE}.evil.example", [PAGE], {"Vary"}),
        (None, [PAGE], {"Vary"}),
    ],
)
def test_only_an_allowed_page_may_read_the_answer(
    origin: str | None, allowed: list[str], fields: set[str]
) -> None:
    """A cache must not give the answer for one origin to another: `Vary` is there for every origin."""
    answer = of_answer(origin, allowed)
    assert set(answer) == fields
    assert answer.get("Access-Control-Allow-Origin") in (None, origin)
