"""Every dependency with every fault, with the deadlines of production, over real sockets."""

import pytest

from tests.faults.matrix.cells import TARGETS, Target, run_target
from tests.support.azurite import Azurite


def test_matrix_has_all_its_cells() -> None:
    assert sum(len(target.faults()) for target in TARGETS) == 8 * 25 - 1


@pytest.mark.azurite
@pytest.mark.timeout(180)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_each_fault_of_a_dependency_keeps_the_promises(azurite: Azurite, target: Target) -> None:
    """The right error in the promised time, nothing false told, and a broker that is well when the fault is over."""
    cells = await run_target(azurite, target)

    assert len(cells) == len(target.faults())
    assert [str(cell) for cell in cells if cell.broken] == []
