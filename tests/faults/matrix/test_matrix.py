"""Every dependency with every fault, with the deadlines of production, over real sockets."""

import logging

import pytest

from local.simulator.sessions import make_auth_token
from tests.faults.matrix.cells import TARGETS, Target, run_target
from tests.shared.keys.fake_azure import CANARY
from tests.support.azurite import Azurite

PEERS = ("aiohttp", "asyncio", "local.")
"""The loggers of the servers and of the test."""

SECRETS = (CANARY, make_auth_token()[:16])
"""Part of each key, of the pepper, and of each token."""


def test_matrix_has_all_its_cells() -> None:
    assert sum(len(target.faults()) for target in TARGETS) == 9 * 26 - 1


@pytest.mark.azurite
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
