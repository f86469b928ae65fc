"""Log lines."""

import json
import logging

import pytest

from shared.telemetry import log_event, quiet_libraries

_log = logging.getLogger("shared.tests")


@pytest.mark.parametrize(
    "value", ["two\nlines", "\u2028", "\u202e", "\x1b[31m", "\r", "\x00", "\ud800", "é"], ids=ascii
)
def test_no_value_can_forge_a_line(value: str, caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks, direction marks and control characters come out escaped, in one line of ASCII."""
    with caplog.at_level(logging.INFO):
        log_event(_log, logging.INFO, "an_event", detail=value)
    (line,) = [record.getMessage() for record in caplog.records]

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"event": "an_event", "detail": value}


def test_absent_fields_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A field without a value says nothing; false and zero do."""
    with caplog.at_level(logging.INFO):
        log_event(_log, logging.INFO, "an_event", code=None, stale=False, attempt=0)

    assert json.loads(caplog.records[0].getMessage()) == {"event": "an_event", "stale": False, "attempt": 0}


def test_libraries_do_not_log_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Httpx and the SDKs would write URLs with session ids, and header fields, at INFO and DEBUG."""
    names = ("azure", "httpcore", "httpx", "msal")
    for name in names:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)

    quiet_libraries()

    assert [logging.getLogger(name).level for name in names] == [logging.WARNING] * 4
