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
    sent = CollectMessage(SESSION_ID, reason, 7, traceparent, 8)

    assert CollectMessage.from_text(sent.to_text()) == sent


def test_message_of_another_release_is_read() -> None:
    """Fields with a default may be missing, unknown fields are ignored, and an unknown reason is kept."""
    new = CollectMessage.from_text(text_with(reason="whim")).after_look()

    assert CollectMessage.from_text(new.to_text()).reason == "whim"
    assert CollectMessage.from_text(text_with(color="green")) == CollectMessage(SESSION_ID, Reason.SWEEP)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "the message is not an object"),
        ("{}", "the message names no session"),
        (text_with(session_id="../x"), "the message names no session"),
        (text_with(reason=""), "the message has no reason"),
        (text_with(reason="a\nb"), "the message has no reason"),
        (text_with(reason=["sweep"]), "the message has no reason"),
        (text_with(attempt=-1), "the message has a field of another type"),
        (text_with(attempt=True), "the message has a field of another type"),
        (text_with(looks=-1), "the message has a field of another type"),
        (text_with(traceparent=1), "the message has a field of another type"),
        ('{"reason": "sweep", "reason": "poll"}', "duplicate names"),
    ],
)
def test_unusable_message_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        CollectMessage.from_text(text)
