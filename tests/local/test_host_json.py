"""Reading `host.json`."""

import sys
from typing import Any

import pytest

from local.host_json import HttpOptions, QueueOptions

ALL_OF_HTTP = {"routePrefix": "/v1/", "maxConcurrentRequests": 4, "maxOutstandingRequests": -1}
ALL_OF_QUEUES = {
    "batchSize": 8,
    "newBatchThreshold": 3,
    "maxDequeueCount": 7,
    "visibilityTimeout": "00:00:30",
    "maxPollingInterval": "01:02:03.5",
}


@pytest.mark.parametrize(
    ("host_json", "expected"),
    [
        ({"version": "2.0"}, HttpOptions("api", 1800.0, sys.maxsize, sys.maxsize)),
        (
            {"functionTimeout": "00:02:00", "extensions": {"http": ALL_OF_HTTP}},
            HttpOptions("v1", 120.0, 4, sys.maxsize),
        ),
        ({"functionTimeout": "1.01:01:01.5"}, HttpOptions("api", 90061.5, sys.maxsize, sys.maxsize)),
        ({"functionTimeout": "-1"}, HttpOptions("api", None, sys.maxsize, sys.maxsize)),
    ],
    ids=["defaults", "all", "days", "unlimited"],
)
def test_http_settings_are_read(host_json: dict[str, Any], expected: HttpOptions) -> None:
    """Missing settings have the host's defaults; -1 means no limit."""
    assert HttpOptions.parse(host_json) == expected


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ({}, QueueOptions(16, 8, 5, 0, 60, lease=600)),
        (ALL_OF_QUEUES, QueueOptions(8, 3, 7, 30, 3723.5, lease=600)),
        ({"batchSize": 9}, QueueOptions(9, 4, 5, 0, 60, lease=600)),
    ],
    ids=["defaults", "all", "half a batch"],
)
def test_queue_settings_are_read(queues: dict[str, Any], expected: QueueOptions) -> None:
    """Missing settings have the host's defaults; a message is always hidden for ten minutes."""
    assert QueueOptions.parse({"extensions": {"queues": queues}}) == expected


def test_time_span_that_cannot_be_read_is_refused() -> None:
    """A bad value fails with the setting's name."""
    with pytest.raises(ValueError, match="functionTimeout"):
        HttpOptions.parse({"functionTimeout": "2 minutes"})
    with pytest.raises(ValueError, match="visibilityTimeout"):
        QueueOptions.parse({"extensions": {"queues": {"visibilityTimeout": "30"}}})
