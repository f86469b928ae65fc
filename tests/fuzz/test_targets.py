"""The short form of the fuzzers, and that they find what they are for."""

import json

import pytest

from tests.fuzz.engine import fuzz
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

EXECUTIONS = 1_500


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Parsers log what is odd, and nearly everything here is."""
    caplog.set_level("CRITICAL")


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_parser_raises_only_what_it_declares(target: Target) -> None:
    """`make fuzz` does the same a million times, guided by the code that is reached."""
    finding = fuzz(target, EXECUTIONS, seed=1)

    assert finding is None, f"{finding.trace}\n{finding.data!r}"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_first_seed_is_read(target: Target) -> None:
    """A fuzzer whose inputs are all refused would test little."""
    target.parse(target.seeds[0])


def test_fault_of_a_parser_is_found() -> None:
    """The finding tells the input that shows it."""

    def parse(data: bytes) -> None:
        content = json.loads(data)
        if isinstance(content, dict):
            assert content["b"]["c"][0].upper() != "Y"

    finding = fuzz(
        Target("faulty", parse, (ValueError,), (b'{"a": 1, "b": {"c": ["x"]}}',)), EXECUTIONS, seed=1
    )

    assert finding is not None
    assert "test_targets.py" in finding.trace
    with pytest.raises((LookupError, TypeError, AttributeError)):
        parse(finding.data)
