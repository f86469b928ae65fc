"""A deliberate caller gets more than the limit out of the peers, and never out of the broker."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from benchmarks.fleet.deliberate import ALGORITHMS, WINDOW, Worst, in_window, worst_case
from benchmarks.fleet.people import Kind, Visitor
from benchmarks.fleet.report import deliberate_table
from benchmarks.fleet.throttles import BrokerThrottle
from shared.errors import Throttled
from shared.settings import Settings
from tests.support.time import run_in_virtual_time

# On one worker, so that each simulation runs once.
pytestmark = pytest.mark.xdist_group("deliberate")

ROOT = Path(__file__).parents[3]
INSTANCES = 4
PERIOD_SECONDS = WINDOW.period_ms // 1000


@pytest.fixture(scope="module")
def cases() -> dict[str, Worst]:
    return {name: worst_case(make) for name, make in ALGORITHMS.items()}


@pytest.mark.parametrize(
    ("algorithm", "most", "fewest"),
    [
        ("broker (log of admissions)", 5, 5),
        ("fixed window", 10, 5),
        ("sliding counter", 9, 0),
        ("token bucket", 9, 5),
    ],
)
def test_a_deliberate_caller_gets_at_most_what_is_known_of_the_algorithm(
    cases: dict[str, Worst], algorithm: str, most: int, fewest: int
) -> None:
    """Only the broker's log admits five of five, never more, and refuses none while fewer were admitted."""
    assert (cases[algorithm].most, cases[algorithm].fewest) == (most, fewest)


@pytest.mark.parametrize("seed", range(3))
def test_a_deliberate_herd_over_all_instances_gets_exactly_the_limit(
    cases: dict[str, Worst], seed: int
) -> None:
    """The deployed limiter keeps the limit where the peers' own worst patterns meet four instances at once."""
    for pattern in {case.pattern for case in cases.values()}:
        times = sorted({at // 1000 for at in pattern.times(2 * WINDOW.period_ms + pattern.first)})
        admitted = run_in_virtual_time(_ask_in_herds(times, seed))
        # A call is stamped while it is on its way: a little after it was made.
        windows = [[at for at in admitted if end - PERIOD_SECONDS + 1 < at <= end] for end in admitted]
        assert max(map(len, windows)) == WINDOW.limit
        assert admitted.count(times[0]) == WINDOW.limit


def test_the_number_in_a_window_leaves_out_what_is_one_period_old() -> None:
    """A window is half open: what was admitted exactly one period ago has left it."""
    admitted = (0, 1, WINDOW.period_ms)
    assert [in_window(admitted, at) for at in (0, 1, WINDOW.period_ms, WINDOW.period_ms + 1)] == [1, 2, 2, 1]


def test_the_page_about_limits_shows_the_table_as_it_is_now(cases: dict[str, Worst]) -> None:
    """What operators read is what the command prints."""
    assert deliberate_table(cases) in (ROOT / "docs" / "throttling.md").read_text("utf-8")


async def _ask_in_herds(times: Sequence[int], seed: int) -> list[int]:
    """Ask ten times at once, each time; answer the second of the request for each that was admitted."""
    chance = Random(seed)  # noqa: S311 - a pattern, not a secret.
    settings = Settings.from_mapping(
        {"FACE_REGION": "westeurope", "FACE_KEY": "key", "THROTTLE_DEVICE": str(WINDOW)}
    )
    throttle = BrokerThrottle(settings, INSTANCES, chance)
    admitted: list[int] = []
    for at in times:
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        answers = await asyncio.gather(*(_is_admitted(throttle, chance) for _ in range(10)))
        admitted += [at] * sum(answers)
    return admitted


async def _is_admitted(throttle: BrokerThrottle, chance: Random) -> bool:
    try:
        await throttle.ask(chance.randrange(INSTANCES), Visitor(Kind.OTHER, "device", "address"))
    except Throttled:
        return False
    return True
