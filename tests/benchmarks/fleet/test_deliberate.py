"""A deliberate caller gets more than the limit out of the peers, and never out of the broker."""

from pathlib import Path

from benchmarks.fleet.deliberate import ALGORITHMS, worst_case
from benchmarks.fleet.report import deliberate_table

PAGE = Path(__file__).parents[3] / "docs" / "throttling.md"


def test_the_broker_alone_admits_exactly_the_limit_as_the_page_says() -> None:
    """Its log admits five of five, never more, and refuses none while fewer were admitted."""
    cases = {name: worst_case(make) for name, make in ALGORITHMS.items()}

    exact = [name for name, case in cases.items() if (case.most, case.fewest) == (5, 5)]
    assert exact == ["broker (log of admissions)"]
    assert deliberate_table(cases) in PAGE.read_text("utf-8")
