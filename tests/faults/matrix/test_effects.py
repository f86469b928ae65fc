"""Two faults at once, and one dependency's trouble beside healthy ones."""

import pytest

from tests.faults.matrix.effects import (
    PAIRS,
    Pair,
    calls_after_a_slow_face,
    polls_while_a_name_hangs,
    run_pair,
)
from tests.support.azurite import Azurite

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(120)]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_two_faults_at_once_keep_the_promises(azurite: Azurite, pair: Pair) -> None:
    told, broken = await run_pair(azurite, pair)
    assert broken == [], told


async def test_finished_sessions_are_read_while_the_name_of_face_hangs(azurite: Azurite) -> None:
    """A look-up that nobody answers holds up neither the table's connections nor their look-ups."""
    polls, failed = await polls_while_a_name_hangs(azurite)
    assert polls == 40
    assert failed == []


async def test_slow_face_leaves_no_trace_once_it_is_well(azurite: Azurite) -> None:
    """Calls that were given up under load give their places among the connections back."""
    calls, failed = await calls_after_a_slow_face(azurite, seconds=10)
    assert calls == 64
    assert failed == []
