"""The error tree and the catalogue agree: each error that can reach a caller has one row and one code."""

import ast
import importlib
from collections.abc import Iterator

import pytest

from shared.errors import BrokerError
from shared.web.catalogue import CATALOGUE, ROW_OF
from tests.architecture.source_tree import DEPLOYED, deployed_modules

CONTRACT = {
    "BadArgument": 415,
    "ClientThrottled": 429,
    "DeviceThrottled": 429,
    "IdempotencyInProgress": 409,
    "IdempotencyKeyReused": 422,
    "InternalError": 500,
    "InvalidDeviceCorrelationId": 400,
    "InvalidIdempotencyKey": 400,
    "InvalidLivenessOperationMode": 400,
    "InvalidRequestBody": 400,
    "InvalidStart": 400,
    "InvalidTokenLifetime": 400,
    "InvalidTop": 400,
    "KeyUnavailable": 503,
    "LengthRequired": 411,
    "MethodNotAllowed": 405,
    "NotFound": 404,
    "RequestTooLarge": 413,
    "SessionNotFound": 404,
    "StorageUnavailable": 503,
    "UpstreamFailure": 502,
    "UpstreamQuotaExceeded": 503,
    "UpstreamThrottled": 503,
    "UpstreamTimeout": 504,
    "UpstreamUnauthorized": 502,
}
"""The codes and statuses of the public contract, which phones in use depend on."""

MODULES = deployed_modules()


@pytest.fixture(scope="module")
def kinds() -> set[type[BrokerError]]:
    """The error classes of the deployed code."""
    for name in MODULES.keys() - {"function_app"}:
        importlib.import_module(name)
    return {kind for kind in _below(BrokerError) if kind.__module__.partition(".")[0] in DEPLOYED}


def test_each_error_without_subclasses_has_a_row(kinds: set[type[BrokerError]]) -> None:
    """The endpoint looks up an error by its own class."""
    assert {kind for kind in kinds if not kinds & set(kind.__subclasses__())} == set(ROW_OF)


def test_only_errors_with_a_row_are_created(kinds: set[type[BrokerError]]) -> None:
    """An error without a row could not be rendered."""
    created = {
        name.id
        for tree in MODULES.values()
        for node in ast.walk(tree)
        for name in (getattr(node, "func", None), getattr(node, "exc", None))
        if isinstance(name, ast.Name)
    }

    assert {"UpstreamFailure", "SessionNotFound"} <= created
    assert created & {kind.__name__ for kind in kinds if kind not in ROW_OF} == set()


def test_each_row_has_its_own_code() -> None:
    """No code stands for two errors."""
    assert len({row.code for row in CATALOGUE}) == len(ROW_OF) == len(CATALOGUE)


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    """No code is added, changed or dropped by accident."""
    assert {row.code: int(row.status) for row in CATALOGUE} == CONTRACT


def test_upstream_trouble_is_never_the_fault_of_the_caller() -> None:
    """A fault of Face, its key or the store is a 5xx."""
    blamed = {code for code, status in CONTRACT.items() if status < 500}

    assert not {code for code in blamed if code.startswith("Upstream") or code.endswith("Unavailable")}


def _below(error: type[BrokerError]) -> Iterator[type[BrokerError]]:
    yield error
    for found in error.__subclasses__():
        yield from _below(found)
