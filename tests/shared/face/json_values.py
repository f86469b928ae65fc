"""What property tests of the upstream share: JSON that is nearly what Face answers, and time on a busy machine."""

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Lets a property test take its time where a machine is shared."""

# fmt: off
_NAMES = (
    "id", "sessionId", "status", "sessionExpired", "result", "results", "response", "statusCode", "body",
    "livenessDecision", "digest", "requestId", "attempts", "attemptId", "attemptStatus", "error", "code", "message",
)
_TEXTS = (
    "realface", "ResultAvailable", "Succeeded", "Failed", "Canceled", "Running",
    "b12e033e-bda7-4b83-a211-e721c661f30e",
)
# fmt: on


def json_objects(likely: Mapping[str, object]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of the names that Face uses, with values of any type, on top of what makes them likely to be read."""
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-1, 5)
        | st.just(200)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from(_TEXTS)
        | st.text(max_size=5)
    )
    values = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6)
        ),
        max_leaves=12,
    )
    return st.dictionaries(st.sampled_from(_NAMES), values, max_size=6).map(
        lambda content: {**likely, **content}
    )
