"""Limits on how often somebody may ask, exact over all instances together."""

from shared.throttle.allowance import Allowance
from shared.throttle.limiter import Limiter
from shared.throttle.model import Admission, Charge, Limit, Subject
from shared.throttle.policy import Log, Policy, Verdict, Window, WindowState

__all__ = [
    "Admission",
    "Allowance",
    "Charge",
    "Limit",
    "Limiter",
    "Log",
    "Policy",
    "Subject",
    "Verdict",
    "Window",
    "WindowState",
]
