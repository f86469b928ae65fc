"""The magic device ids: one table, from which behaviour, docs page and listing are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from local.simulator import answers
from local.simulator.answers import Answer

Call = Literal["perform", "create", "get", "delete"]
"""Where a scenario shows: in the phone's check, or in one of the broker's calls."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt: a decision, or the error object of an attempt that ended without one.

    With `phone_digest_differs` the phone gets another digest than the result holds; without `has_digest` there is no
    digest at all. With `is_abuse` the abuse monitoring of v1.3-preview.1 flags the attempt.
    """

    decision: str | None = None
    failure: Mapping[str, str] | None = None
    phone_digest_differs: bool = False
    has_digest: bool = True
    is_abuse: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a call; nothing by default.

    The call is refused with `answer`. Without one it takes effect, and its answer comes after `delay_s` seconds,
    or is `lost`: the connection is reset. The first `times` calls of a session fail (None: all).
    """

    answer: Answer | None = None
    delay_s: float = 0.0
    lost: bool = False
    times: int | None = None


NO_FAULT = Fault()
# Longer than any deadline of the broker.
SLOW = Fault(delay_s=30.0)
UNAVAILABLE_TWICE = Fault(answers.SERVICE_UNAVAILABLE, times=2)

REALFACE = Outcome("realface")
SPOOF = Outcome("spoofface")
OTHER_DIGEST = Outcome("realface", phone_digest_differs=True)
MASK = Outcome(failure={"code": "FaceWithMaskDetected", "message": "Mask detected on face image."})

# What an app reads at the broker.
PASSED = "`ResultAvailable`, `passed: true`, `realface`"
SPOOF_SEEN = "`ResultAvailable`, `passed: false`, `spoofface`"
MASK_SEEN = "`Started`, `failure: FaceWithMaskDetected`"
MASK_AT_LAST = "`ResultAvailable`, `passed: false`, `failure: FaceWithMaskDetected`"
CANCELED = "`ResultAvailable`, `passed: false`, `failure: Canceled`"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the sessions of one magic device id.

    `attempts` are the outcomes of the first, second, ... attempt; the last one repeats. Without any, the phone's
    check makes no attempt. `starts` is false if the check does not even start the session, and `cancels` is true
    if it cancels the session. `call` is the one that has the `fault`.

    `app_gets` is what the broker answers to the app: to a read after each failed attempt and after the last one, or to
    the call with the fault. `app_gets_in` has what differs by version of Face.
    """

    device_id: str
    happens: str
    attempts: tuple[Outcome, ...] = (REALFACE,)
    starts: bool = True
    cancels: bool = False
    call: Call = "perform"
    fault: Fault = NO_FAULT
    app_gets: str = PASSED
    app_gets_in: Mapping[str, str] = field(default_factory=dict)

    def outcome(self, earlier_attempts: int) -> Outcome | None:
        """Answer the outcome of the next attempt, or None if there is no attempt."""
        return self.attempts[min(earlier_attempts, len(self.attempts) - 1)] if self.attempts else None

    def fault_of(self, call: Call, earlier_calls: int = 0) -> Fault:
        """Answer the fault of a call that comes after so many of its kind in the session."""
        over = self.fault.times is not None and earlier_calls >= self.fault.times
        return NO_FAULT if self.call != call or over else self.fault


_CALLS: Mapping[str, Call] = {"create": "create", "result": "get", "delete": "delete"}

FAILED = "502 `UpstreamFailure`"
BUSY = "503 `UpstreamThrottled`"

_REFUSALS: Mapping[str, tuple[Answer, str, str]] = {
    "401": (
        answers.UNAUTHORIZED_UNSPECIFIED,
        "401, as for a key that is not valid.",
        "502 `UpstreamUnauthorized`",
    ),
    "quota": (
        answers.OUT_OF_QUOTA,
        "403: out of call volume quota, for 2 days.",
        "503 `UpstreamQuotaExceeded`",
    ),
    "403": (
        answers.UNSUPPORTED_FEATURE,
        "403 `UnsupportedFeature`: the resource is not approved.",
        "502 `UpstreamNotApproved`",
    ),
    "429": (answers.rate_limited(26), "429 with the wait (26 seconds) in its message only.", BUSY),
    "429-header": (answers.rate_limited(7, header=True), "429 with `Retry-After: 7`.", BUSY),
    "429-gateway": (answers.GATEWAY_RATE_LIMITED, "429 in the newer wording, with a code (1 second).", BUSY),
    "500": (answers.INTERNAL_SERVER_ERROR, "500 `Unspecified`.", FAILED),
    "502": (answers.BAD_GATEWAY, "502 with an HTML page.", FAILED),
    "503": (answers.SERVICE_UNAVAILABLE, "503 without a body.", BUSY),
    "gone": (answers.SESSION_NOT_FOUND, "404 `SessionNotFound`, although the session was created.", FAILED),
    "no-route": (answers.RESOURCE_NOT_FOUND, "404 with another code, as for a retired API version.", FAILED),
}


def _refused(word: str, *names: str) -> list[Scenario]:
    """One scenario for each name in `_REFUSALS`."""
    return [_faulty(f"sim-{word}-{name}", *_REFUSALS[name]) for name in names]


def _faulty(device_id: str, answer: Answer | Fault, happens: str, app_gets: str) -> Scenario:
    call = _CALLS[device_id.split("-")[1]]
    if call == "get" and app_gets == BUSY:
        # While Face has no room for a read, a poll gets the last known state.
        app_gets = "`NotStarted`"
    fault = answer if isinstance(answer, Fault) else Fault(answer)
    return Scenario(device_id, happens, call=call, fault=fault, app_gets=app_gets)


SCENARIOS = (
    Scenario("sim-realface", "The decision is `realface`, as for every other device id."),
    Scenario("sim-spoofface", "The decision is `spoofface`.", (SPOOF,), app_gets=SPOOF_SEEN),
    Scenario(
        "sim-uncertain",
        "The decision is `uncertain`.",
        (Outcome("uncertain"),),
        app_gets="`ResultAvailable`, `passed: false`, `uncertain`",
    ),
    Scenario(
        "sim-mask",
        "Each attempt fails with `FaceWithMaskDetected`: there is no decision.",
        (MASK,),
        app_gets=f"{MASK_SEEN}; after the last attempt {MASK_AT_LAST}",
        app_gets_in={"v1.3-preview.1": MASK_AT_LAST},
    ),
    Scenario(
        "sim-second-passes",
        "The first attempt fails (mask), the second decides `realface`.",
        (MASK, REALFACE),
        app_gets=f"{MASK_SEEN}; after the last attempt {PASSED}",
        app_gets_in={"v1.3-preview.1": MASK_AT_LAST},
    ),
    Scenario(
        "sim-second-spoofs",
        "The first attempt decides `realface`, the second `spoofface`.",
        (REALFACE, SPOOF),
        app_gets=SPOOF_SEEN,
    ),
    Scenario(
        "sim-third-passes",
        "The first two attempts decide `spoofface`, the third `realface`.",
        (SPOOF, SPOOF, REALFACE),
    ),
    Scenario(
        "sim-digest-mismatch",
        "`realface`, but the phone gets another digest than the result.",
        (OTHER_DIGEST,),
        app_gets="`ResultAvailable`, `passed: false`, `realface`, `digestMatches: false`",
    ),
    Scenario(
        "sim-digest-second-matches",
        "`realface` twice; the phone gets another digest than the result at the first attempt only.",
        (OTHER_DIGEST, REALFACE),
    ),
    Scenario(
        "sim-no-digest",
        "`realface`, but neither the phone nor the result has a digest.",
        (Outcome("realface", has_digest=False),),
        app_gets=f"{PASSED}, `digestMatches: null`",
    ),
    Scenario(
        "sim-abuse",
        "`realface`, and abuse is detected (`v1.3-preview.1`; other versions do not say).",
        (Outcome("realface", is_abuse=True),),
        app_gets_in={
            "v1.3-preview.1": "`ResultAvailable`, `passed: false`, `realface`, `abuseDetected: true`"
        },
    ),
    Scenario(
        "sim-realface-case", "The decision is `realFace`, as in an example of v1.2.", (Outcome("realFace"),)
    ),
    Scenario(
        "sim-unknown-decision",
        "The decision is `deepfake`, which is in no enum.",
        (Outcome("deepfake"),),
        app_gets="`ResultAvailable`, `passed: false`, `failure: UnknownDecision`",
    ),
    Scenario(
        "sim-no-attempt",
        "The phone never comes back: the session stays as created.",
        starts=False,
        app_gets="`NotStarted`",
    ),
    Scenario(
        "sim-abandoned",
        "The phone starts the session and gives up before an attempt.",
        (),
        app_gets="`Started`",
    ),
    Scenario(
        "sim-canceled",
        "The session ends as `Canceled` (v1.1-preview.1: `Started`).",
        (),
        cancels=True,
        app_gets="`Started`",
        app_gets_in={"v1.2": CANCELED, "v1.3-preview.1": CANCELED},
    ),
    *_refused("create", "401", "quota", "403", "429", "429-header", "429-gateway", "500", "502", "503"),
    _faulty(
        "sim-create-slow",
        SLOW,
        "The session is created; the answer comes after 30 seconds.",
        "504 `UpstreamTimeout`",
    ),
    _faulty("sim-create-lost", Fault(lost=True), "The session is created; the connection is reset.", FAILED),
    *_refused("result", "401", "quota", "429", "429-header", "500", "502", "503"),
    _faulty("sim-result-flaky", UNAVAILABLE_TWICE, "503 for the first two reads, then the result.", PASSED),
    *_refused("result", "gone", "no-route"),
    _faulty("sim-result-slow", SLOW, "The answer comes after 30 seconds.", "504 `UpstreamTimeout`"),
    _faulty(
        "sim-delete-500",
        Fault(answers.INTERNAL_SERVER_ERROR),
        "500 `Unspecified`: the session stays.",
        FAILED,
    ),
)


def of_device(device_id: str | None) -> Scenario:
    """Return the scenario of a device id; an id that is not in the table is a real face.

    Case is ignored, and so is a dot with all that follows: `sim-mask.7` is another device with the same scenario.
    """
    return _find(device_id or "") or SCENARIOS[0]


def named(outcome: str) -> Scenario | None:
    """Answer the scenario with this device id, with or without `sim-`."""
    return _find(outcome) or _find(f"sim-{outcome}")


def _find(device_id: str) -> Scenario | None:
    name = device_id.partition(".")[0].lower()
    return next((scenario for scenario in SCENARIOS if scenario.device_id == name), None)
