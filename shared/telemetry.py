"""Structured log events: one JSON line each, identifiers and never objects, nothing secret."""

import json
import logging

Field = str | int | float | bool | None

_CHATTY = ("azure", "httpcore", "httpx", "msal")


def quiet_libraries() -> None:
    """Keep libraries from logging each request with its URL, which holds session ids, and its headers."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_event(logger: logging.Logger, level: int, event: str, **fields: Field) -> None:
    """Log a static event name with its fields as one line of ASCII JSON, so that no value can forge a line."""
    if logger.isEnabledFor(level):
        present = {name: value for name, value in fields.items() if value is not None}
        logger.log(level, "%s", json.dumps({"event": event, **present}))
