"""The message that asks for a result: what is sent is read, and nothing else is."""

import json
import re

import pytest

from shared.queues.message import CollectMessage, Reason

SESSION_ID = "b12e033e-bda7-4b83-a211-e721c661f30e"


def text_with(**fields: object) -> str:
    """The text of a message with other fields than a good one has."""
    return json.dumps({"session_id": SESSION_ID, "reason": "sweep"} | fields)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("traceparent", [None, "00-" + "1" * 32 + "-" + "2" * 16 + "-00"])
def test_message_survives_the_queue(reason: Reason, traceparent: str | None) -> None:
    """What is sent is what is read."""
    sent = CollectMessage(SESSION_ID, reason, 7, traceparent, 8)

    assert CollectMessage.from_text(sent.to_text()) == sent


def test_message_of_another_release_is_read() -> None:
    """Fields with a default may be missing, and unknown fields are ignored."""
    assert CollectMessage.from_text(text_with(color="green")) == CollectMessage(SESSION_ID, Reason.SWEEP)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "Expecting value: line 1 column 1 (char 0)", id="empty"),
        pytest.param("[]", "the message is not an object", id="no object"),
        pytest.param("{}", "the message names no session", id="no fields"),
        pytest.param(text_with(session_id="../x"), "the message names no session", id="no session id"),
        pytest.param(text_with(session_id=4711), "the message names no session", id="number for an id"),
        pytest.param(text_with(reason="whim"), "the message has an unknown reason", id="reason"),
        pytest.param(text_with(reason=["sweep"]), "the message has an unknown reason", id="list"),
        pytest.param(text_with(reason=None), "the message has an unknown reason", id="no reason"),
        pytest.param(text_with(attempt=-1), "the message has a field of another type", id="attempt"),
        pytest.param(text_with(attempt=True), "the message has a field of another type", id="truth"),
        pytest.param(text_with(looks=-1), "the message has a field of another type", id="looks"),
        pytest.param(text_with(traceparent=1), "the message has a field of another type", id="trace"),
        pytest.param('{"reason": "sweep", "reason": "poll"}', "duplicate names", id="twice"),
        pytest.param("[" * 100_000, "nested too deep", id="deep"),
    ],
)
def test_unusable_message_is_refused(text: str, problem: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        CollectMessage.from_text(text)
