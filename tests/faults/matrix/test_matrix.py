"""Every dependency with every fault, and two at once, with the deadlines of production, over real sockets."""

import logging

import pytest

from local.simulator.sessions import make_auth_token
from tests.faults.matrix.cells import TARGETS, Target, run_target
from tests.faults.matrix.effects import (
    PAIRS,
    Pair,
    calls_after_a_slow_face,
    polls_while_a_name_hangs,
    run_pair,
)
from tests.shared.keys.fake_azure import CANARY
from tests.support.azurite import Azurite

PEERS = ("aiohttp", "asyncio", "local.")
"""The loggers of the servers and of the test."""

SECRETS = (CANARY, make_auth_token()[:16])
"""Part of each key, of the pepper, and of each token."""


def test_matrix_has_all_its_cells() -> None:
    assert sum(len(target.faults()) for target in TARGETS) == 9 * 26 - 1


@pytest.mark.timeout(180)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_each_fault_of_a_dependency_keeps_the_promises(
    azurite: Azurite, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """The right error in the promised time, nothing false told, and a broker that is well when the fault is over.

    No key, pepper or token is in the log.
    """
    caplog.set_level(logging.DEBUG)
    cells = await run_target(azurite, target)

    assert len(cells) == len(target.faults())
    assert [str(cell) for cell in cells if cell.broken] == []
    lines = [caplog.handler.format(one) for one in caplog.records if not one.name.startswith(PEERS)]
    assert lines
    assert [line for line in lines if any(secret in line for secret in SECRETS)] == []


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
