"""The error tree and the catalogue agree: each error that can reach a caller has one row and one code."""

import ast
import importlib
from collections.abc import Iterator

import pytest

from shared.errors import BrokerError
from shared.web.catalogue import CATALOGUE, ROW_OF, Again
from tests.architecture.source_tree import DEPLOYED, deployed_modules

CONTRACT = {
    400: "InvalidDeviceCorrelationId InvalidIdempotencyKey InvalidLivenessOperationMode InvalidRequestBody InvalidStart"
    " InvalidTokenLifetime InvalidTop",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound SessionNotFound",
    405: "MethodNotAllowed",
    409: "IdempotencyInProgress",
    411: "LengthRequired",
    413: "RequestTooLarge",
    415: "BadArgument",
    422: "IdempotencyKeyReused",
    429: "ClientThrottled DeviceThrottled",
    500: "InternalError",
    502: "UpstreamFailure UpstreamUnauthorized UpstreamNotApproved",
    503: "KeyUnavailable StorageUnavailable UpstreamQuotaExceeded UpstreamThrottled",
    504: "UpstreamTimeout",
}
"""The codes and statuses of the public contract, which phones in use depend on."""

MODULES = deployed_modules()


@pytest.fixture(scope="module")
def kinds() -> set[type[BrokerError]]:
    """The error classes of the deployed code. A trigger may read the settings when it is imported."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FACE_REGION", "westeurope")
        environment.setenv("FACE_KEY", "a-key-of-the-tests")
        for name in MODULES.keys() - {"function_app"}:
            importlib.import_module(name)
    return {kind for kind in _below(BrokerError) if kind.__module__.partition(".")[0] in DEPLOYED}


def test_each_error_without_subclasses_has_a_row(kinds: set[type[BrokerError]]) -> None:
    """The endpoint looks up an error by its own class."""
    assert {kind for kind in kinds if not kinds & set(kind.__subclasses__())} == set(ROW_OF)


def test_only_errors_with_a_row_are_created(kinds: set[type[BrokerError]]) -> None:
    created = {
        name.id
        for tree in MODULES.values()
        for node in ast.walk(tree)
        for name in (getattr(node, "func", None), getattr(node, "exc", None))
        if isinstance(name, ast.Name)
    }

    assert {"UpstreamFailure", "SessionNotFound"} <= created
    assert created & {kind.__name__ for kind in kinds if kind not in ROW_OF} == set()


def test_codes_and_statuses_are_those_of_the_contract() -> None:
    """No code is added, changed or dropped by accident, and none stands for two errors."""
    contract = [(code, status) for status, codes in CONTRACT.items() for code in codes.split()]

    assert sorted((row.code, row.status) for row in CATALOGUE) == sorted(contract)


def test_an_app_sends_again_by_itself_only_what_ends_in_time() -> None:
    """What the developer reads agrees with what the clients do. A quota's wait may be a day."""
    told = {row.code: "then send the same request again" in row.what_to_do for row in CATALOGUE}

    assert told == {row.code: row.again is Again.NOW for row in CATALOGUE}
    assert {row.code for row in CATALOGUE if (row.at_most > 0) != (row.again is Again.NOW)} == set()


def _below(error: type[BrokerError]) -> Iterator[type[BrokerError]]:
    yield error
    for found in error.__subclasses__():
        yield from _below(found)
