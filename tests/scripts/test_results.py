"""The sentences for failed attempts cover what the broker itself names."""

from scripts.results import FAILURES
from shared.face.model import Failure
from shared.face.results import failure, verdict
from shared.sessions.record import UNFINISHED, UNKNOWN_DECISION


def test_each_failure_that_the_broker_names_has_its_sentence() -> None:
    """Face's own codes may be others than those that its SDKs name; ours are known."""
    ours = [verdict(None), verdict("deepfake"), failure(None, None, ""), failure(None, None, "Canceled")]

    codes = {each.code for each in (*ours, UNFINISHED, UNKNOWN_DECISION) if isinstance(each, Failure)}
    assert codes == {"NoDecision", "UnknownDecision", "Unspecified", "Canceled", "Unfinished"}
    assert codes <= set(FAILURES)
