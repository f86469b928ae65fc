"""What is read out of host.json."""

import pytest

from local.host.options import HostOptions


def test_empty_host_json_gives_the_defaults() -> None:
    """Without settings the prefix is `api`, a call may take 30 minutes, and nothing is limited."""
    assert HostOptions("api", 1800.0, None, None) == HostOptions.parse({"version": "2.0"})


def test_http_settings_are_read() -> None:
    """The settings of the HTTP extension are taken over; -1 means no limit."""
    http = {"routePrefix": "/v1/", "maxConcurrentRequests": 4, "maxOutstandingRequests": -1}

    assert HostOptions("v1", 120.0, 4, None) == HostOptions.parse(
        {"functionTimeout": "00:02:00", "extensions": {"http": http}}
    )


@pytest.mark.parametrize(
    ("time_span", "seconds"),
    [("00:00:03", 3.0), ("00:00:00.05", 0.05), ("1.01:01:01", 90061.0), ("-1", None)],
    ids=["seconds", "fraction", "days", "unlimited"],
)
def test_function_timeout_is_read_as_a_time_span(time_span: str, seconds: float | None) -> None:
    """A `functionTimeout` is a .NET time span, or -1 for none."""
    assert seconds == HostOptions.parse({"functionTimeout": time_span}).function_timeout


def test_function_timeout_that_is_no_time_span_is_refused() -> None:
    """A value that the host could not read fails with the setting's name."""
    with pytest.raises(ValueError, match="functionTimeout"):
        HostOptions.parse({"functionTimeout": "2 minutes"})
