"""Reading `host.json`."""

from typing import Any

import pytest

from local.host_json import QueueOptions, function_timeout, route_prefix

ALL_OF_QUEUES = {
    "batchSize": 8,
    "maxDequeueCount": 7,
    "visibilityTimeout": "01:02:03.5",
}


@pytest.mark.parametrize(
    ("host_json", "timeout", "prefix"),
    [
        ({}, 1800.0, "api"),
        ({"functionTimeout": "00:02:00", "extensions": {"http": {"routePrefix": "/v1/"}}}, 120.0, "v1"),
    ],
)
def test_settings_of_functions_are_read(host_json: dict[str, Any], timeout: float, prefix: str) -> None:
    """Missing settings have the host's defaults."""
    assert (function_timeout(host_json), route_prefix(host_json)) == (timeout, prefix)


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ({}, QueueOptions(16, 5, 0, lease=600)),
        (ALL_OF_QUEUES, QueueOptions(8, 7, 3723.5, lease=600)),
    ],
)
def test_queue_settings_are_read(queues: dict[str, Any], expected: QueueOptions) -> None:
    """Missing settings have the host's defaults; a message is always hidden for ten minutes."""
    assert QueueOptions.parse({"extensions": {"queues": queues}}) == expected


@pytest.mark.parametrize("time_span", ["2 minutes", "30", "1.00:00:00", "-1"])
def test_time_span_that_cannot_be_read_is_refused(time_span: str) -> None:
    """A value that is wrong, or that this host does not support, fails with the setting's name."""
    with pytest.raises(ValueError, match="functionTimeout"):
        function_timeout({"functionTimeout": time_span})
