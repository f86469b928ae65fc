"""What the tests of simulated fleets share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """Leave out the thousands of lines about refused calls."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
