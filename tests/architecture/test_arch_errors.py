"""The error tree and the catalogue say the same: each error that can reach a caller has one row and one code."""

import importlib
from collections import Counter
from collections.abc import Iterator

from shared.errors import BrokerError
from shared.web.catalogue import CATALOGUE, ROW_OF
from tests.architecture.source_tree import DEPLOYED, modules

FIXED = {
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
"""The codes and statuses of the public contract: phones in the field know them."""


def test_each_error_with_a_code_has_a_row() -> None:
    """Every class that code can raise is looked up by its very type, so each has a row, wherever it is defined."""
    for module in modules():
        if module.deployed and module.name != "function_app":
            importlib.import_module(module.name)

    assert set(_leaves(BrokerError)) == set(ROW_OF)


def test_each_row_has_a_code_of_its_own() -> None:
    """No code stands for two errors, and none is that of a fault of our own."""
    counted = Counter(row.code for row in CATALOGUE)

    assert set(counted.values()) == {1}
    assert len(ROW_OF) == len(CATALOGUE)


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    """None is added, changed or dropped by accident."""
    assert {row.code: int(row.status) for row in CATALOGUE} == FIXED


def test_upstream_trouble_is_never_the_callers_fault() -> None:
    """What Face, its key or the store does wrong is a 5xx."""
    blamed = {code for code, status in FIXED.items() if status < 500}

    assert not {code for code in blamed if code.startswith("Upstream") or code.endswith("Unavailable")}


def _leaves(error: type[BrokerError]) -> Iterator[type[BrokerError]]:
    """The classes of deployed code that no other one is made from."""
    below = [found for found in error.__subclasses__() if found.__module__.partition(".")[0] in DEPLOYED]
    if not below:
        yield error
    for found in below:
        yield from _leaves(found)
